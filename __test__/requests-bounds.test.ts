/** The bounds of requests and replies: how many at once, who has left, odd messages, wrong arguments. */

import type { EventBusError } from '..';
import { createTestBus } from '../testing';
import { eventually, Gate } from './support/eventually';
import { rejection } from './support/rejection';
import { keepingLogger, onBothTransports } from './support/transports';

/** Longer than any test: what ends sooner has not waited for it. */
const NEVER = 3_000_000;

onBothTransports((fixture) => {
  test('concurrency bounds the handlers, maxQueued those that wait, and the rest is refused', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const gate = new Gate();
    const order: unknown[] = [];
    let [running, most] = [0, 0];
    const options = { concurrency: 2, maxQueued: 3 };
    await bus.respond(
      'work',
      async ({ data, metadata }) => {
        running += 1;
        most = Math.max(most, running);
        order.push(data);
        await gate.opened;
        const { eventId } = await bus.publish('done', null);
        running -= 1;
        return [data, metadata.correlationId, eventId !== ''];
      },
      options,
    );
    const calls = [1, 2, 3, 4, 5].map((n) =>
      asker.request('work', n, { correlationId: `c${n}`, timeout: NEVER }),
    );
    await eventually(() => order.length === 2);
    const refused = await rejection(asker.request('work', 6, { timeout: NEVER }));
    expect(refused).toMatchObject({ name: 'ResourceError', code: 'ERR_BUS_QUEUE_FULL' });
    gate.open();
    expect(await Promise.all(calls)).toEqual([1, 2, 3, 4, 5].map((n) => [n, `c${n}`, true]));
    expect([most, order]).toEqual([2, [1, 2, 3, 4, 5]]);
    expect(bus.getStats().requests).toMatchObject({ requestsHandled: 5, requestsRefused: 1 });
  });

  test('a request that was taken back while it waited is never handled', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const gate = new Gate();
    const handled: unknown[] = [];
    await bus.respond(
      'work',
      async ({ data }) => {
        handled.push(data);
        await gate.opened;
      },
      { concurrency: 1 },
    );
    const first = asker.request('work', 1);
    await eventually(() => handled.length === 1);
    const controller = new AbortController();
    const second = rejection(asker.request('work', 2, { signal: controller.signal }));
    const third = asker.request('work', 3);
    await eventually(() => bus.getStats().eventsReceived === 3);
    controller.abort();
    expect(await second).toMatchObject({ code: 'ERR_BUS_ABORTED' });
    // The request, which ended without its handler, and what took it back.
    await eventually(() => bus.getStats().eventsDelivered === 2);
    gate.open();
    await Promise.all([first, third]);
    expect(handled).toEqual([1, 3]);
  });

  test('a handler has its time', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const aborted = new Gate();
    await bus.respond(
      'slow',
      (_, { signal }) => {
        signal.addEventListener('abort', () => aborted.open());
        return new Promise(() => {});
      },
      { timeout: 50 },
    );
    const error = await rejection(asker.request('slow', null, { timeout: NEVER }));
    expect(error).toMatchObject({ code: 'ERR_BUS_HANDLER_TIMEOUT', name: 'TimeoutError' });
    await aborted.opened;
  });

  test('one that has left is not asked, what waits there goes to another, and what runs is answered', async () => {
    const [asker, a, b] = [await fixture.open(), await fixture.open(), await fixture.open()];
    const gate = new Gate();
    let begun = 0;
    const leaving = await a.respond(
      'work',
      async () => {
        begun += 1;
        await gate.opened;
        return 'a';
      },
      { concurrency: 1 },
    );
    const calls = [asker.request('work', 1), asker.request('work', 2)];
    await eventually(() => begun === 1);
    await b.respond('work', () => 'b');
    expect(await leaving.unsubscribe()).toBe(true);
    expect(await leaving.unsubscribe()).toBe(false);
    if (fixture.transport === 'redis') {
      // Who still has it on a list is told that it is gone.
      const metadata = { request: { id: 99, timeout: 1000 } };
      await b.publishToUser(`oxbus:responder:${leaving.id}`, 'work', 3, { metadata });
      await eventually(() => a.getStats().requests.requestsRefused === 2);
    }
    expect(await calls[1]).toBe('b');
    const more = await Promise.all(Array.from({ length: 20 }, () => asker.request('work', 3)));
    expect(new Set(more)).toEqual(new Set(['b']));
    gate.open();
    expect(await calls[0]).toBe('a');
    expect(begun).toBe(1);
  });

  test('a request that is handed on inherits what it did when it was made', async () => {
    const [asker, a, b] = [await fixture.open(), await fixture.open(), await fixture.open()];
    const gate = new Gate();
    let begun = 0;
    const leaving = await a.respond(
      'work',
      () => {
        begun += 1;
        return gate.opened;
      },
      { concurrency: 1 },
    );
    const made = new Promise<{ id: string; calls: Promise<unknown>[] }>((resolve) => {
      void asker.subscribe('start', ({ id }) => {
        resolve({ id, calls: [asker.request('work', 1), asker.request('work', 2)] });
      });
    });
    await eventually(() => asker.subscriberCount() === 1);
    await asker.publish('start', null, { correlationId: 'c' });
    await eventually(() => begun === 1);
    await b.respond('work', ({ metadata }) => [metadata.correlationId, metadata.causationId]);
    await leaving.unsubscribe();
    const { id, calls } = await made;
    expect(await calls[1]).toEqual(['c', id]);
    gate.open();
    await calls[0];
  });

  test('a client that closes hands its requests on, while many are asked', async () => {
    const [asker, a, b] = [await fixture.open(), await fixture.open(), await fixture.open()];
    const answer = (name: string) => async () => {
      await new Promise(setImmediate);
      return name;
    };
    await a.respond('work', answer('a'));
    await b.respond('work', answer('b'));
    const ask = () => Promise.all(Array.from({ length: 20 }, () => asker.request('work', null)));
    let closing: Promise<void> | undefined;
    const answers: unknown[] = [];
    for (let round = 0; round < 60; round += 1) {
      if (round === 10) closing = a.disconnect();
      answers.push(...(await ask()));
    }
    await closing;
    expect(answers).toHaveLength(1200);
    expect(answers).toContain('a');
    expect(new Set(await ask())).toEqual(new Set(['b']));
  });

  test('two thousand in flight', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const gate = new Gate();
    const options = { concurrency: 2000 };
    let running = 0;
    await bus.respond(
      'work',
      async ({ data }) => {
        running += 1;
        if (running === 2000) gate.open();
        await gate.opened;
        return data;
      },
      options,
    );
    const numbers = Array.from({ length: 2000 }, (_, index) => index);
    const calls = numbers.map((n) => asker.request('work', n, { timeout: 60_000 }));
    expect(await Promise.all(calls)).toEqual(numbers);
    expect(asker.getStats().requests.requestsSent).toBe(2000);
  });

  test('odd messages on the channels of requests count as foreign', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const gate = new Gate();
    const responder = await bus.respond('work', async ({ data }) => {
      await gate.opened;
      return data;
    });
    const call = asker.request('work', 'mine');
    await eventually(() => bus.getStats().requests.requestsHandled === 1);
    const odd = [
      undefined,
      { reply: null },
      { reply: 5 },
      { reply: { id: 'x', responder: responder.id } },
      { reply: { id: 1, responder: 'somebody else' } },
      { reply: { id: -1, responder: responder.id } },
      { request: null, cancel: 'x' },
      { request: { id: {}, timeout: [] } },
      { cancel: { id: 1 } },
    ];
    const inbox = `oxbus:inbox:${asker.instanceId}`;
    const address = `oxbus:responder:${responder.id}`;
    for (const metadata of odd) {
      await bus.publishToUser(inbox, 'oxbus.reply', 'forged', { ...(metadata && { metadata }) });
      await asker.publishToUser(address, 'work', 'forged', { ...(metadata && { metadata }) });
    }
    await bus.publishToUser(inbox, 'x', null);
    await eventually(() => asker.getStats().eventsForeign === odd.length + 1);
    await eventually(() => bus.getStats().eventsForeign === odd.length);
    gate.open();
    expect(await call).toBe('mine');
  });

  test('wrong arguments', async () => {
    const bus = await fixture.open();
    const bad = (options: object) => rejection(bus.request('a', 1, options));
    expect(await rejection(bus.request('a b', 1))).toMatchObject({ code: 'ERR_BUS_INVALID_TYPE' });
    expect(await rejection(bus.request(5 as never, 1))).toMatchObject({
      code: 'ERR_BUS_INVALID_TYPE',
    });
    expect(await rejection(bus.request('a', 1n))).toMatchObject({ code: 'ERR_BUS_INVALID_DATA' });
    expect(await rejection(bus.request('a', undefined))).toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
    });
    for (const options of [
      { timeout: 0 },
      { timeout: 1.5 },
      { timeout: 2 ** 31 },
      { timeout: Number.POSITIVE_INFINITY },
      { signal: 1 },
      { all: 1 },
      { metadata: 1 },
      { metadata: { a: 1n } },
      { userId: 1 },
      { timout: 1 },
    ]) {
      expect(await bad(options)).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS' });
    }
    for (const options of [
      { concurrency: 0 },
      { maxQueued: -1 },
      { timeout: -1 },
      { group: 'g' },
    ]) {
      const call = bus.respond('a', () => 1, options as never);
      expect(await rejection(call)).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS' });
    }
    expect(await rejection(bus.respond('a', 5 as never))).toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
    });
    expect(await rejection(bus.respond('room:a', () => 1))).toMatchObject({
      code: 'ERR_BUS_INVALID_TYPE',
    });
    const answers = bus.request('a', 1, { all: true, timeout: 0 });
    expect(await rejection(answers.next())).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS' });
  });

  test('requests and responders are no subscriptions of the user', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const responder = await bus.respond('a', () => 1);
    await asker.request('a', null);
    expect([asker.subscriptions(), bus.subscriptions()]).toEqual([[], []]);
    expect([asker.subscriberCount(), bus.subscriberCount('user:*')]).toEqual([0, 0]);
    expect(await responder.unsubscribe({ wait: true })).toBe(true);
    expect(await asker.metrics()).toContain('oxbus_requests_sent_total 1\n');
  });

  test('a signal ends a responder', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const controller = new AbortController();
    await bus.respond('a', () => 1, { signal: controller.signal });
    expect(await asker.request('a', null)).toBe(1);
    controller.abort();
    await eventually(async () => {
      const error = await asker.request('a', null).catch((thrown) => thrown);
      return (error as EventBusError).code === 'ERR_BUS_NO_RESPONDERS';
    });
  });
});

describe('a test bus', () => {
  test('responders of its clients answer, and time is that of the bus', async () => {
    const bus = createTestBus({ logger: keepingLogger() });
    const other = bus.client({ logger: keepingLogger() });
    let aborted: unknown;
    await other.respond('sum', ({ data }) => data.a + data.b);
    await other.respond('slow', (_, { signal }) => {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted = signal.reason;
          reject(signal.reason);
        });
      });
    });
    expect(await bus.request('sum', { a: 1, b: 2 })).toBe(3);
    const call = rejection(bus.request('slow', null, { timeout: 3_600_000 }));
    await bus.advance(29_999);
    expect(aborted).toBeUndefined();
    await bus.advance(1);
    expect(await call).toMatchObject({ code: 'ERR_BUS_HANDLER_TIMEOUT' });
    const late = rejection(bus.request('slow', null, { timeout: 1000 }));
    await bus.advance(1000);
    expect(await late).toMatchObject({ code: 'ERR_BUS_REQUEST_TIMEOUT' });
    expect(await rejection(bus.request('nobody', null))).toMatchObject({
      code: 'ERR_BUS_NO_RESPONDERS',
    });
    // What answers requests and takes them back is there for who asks for it.
    expect(bus.published().map(({ type }) => type)).toEqual(['sum', 'slow', 'slow']);
    expect(bus.published('*').map(({ type }) => type)).toEqual(['sum', 'slow', 'slow']);
    expect(bus.published('oxbus.*').map(({ type }) => type)).toEqual(['oxbus.cancel']);
    expect(other.published()).toEqual([]);
    expect(other.published('oxbus.reply').map(({ data }) => data)).toEqual([3, null]);
    await bus.disconnect();
    expect(other.state).toBe('closed');
  });
});
