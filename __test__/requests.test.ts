/** Requests and replies through JavaScript, in memory and on a real Redis. */

import { EventBusError, HandlerError, rawJson } from '..';
import { eventually, Gate } from './support/eventually';
import { rejection } from './support/rejection';
import { onBothTransports } from './support/transports';

/** Longer than any test: what ends sooner has not waited for it. */
const NEVER = 3_000_000;

onBothTransports((fixture) => {
  test('one of several responders gets a request, and its result is the reply', async () => {
    const [asker, ...others] = await Promise.all([1, 2, 3, 4].map(() => fixture.open()));
    const calls: unknown[] = [];
    await Promise.all(
      others.map((bus, index) =>
        bus.respond('sum', async ({ data }) => {
          calls.push(index);
          await null;
          return { sum: data.a + data.b };
        }),
      ),
    );
    expect(await asker?.request('sum', { a: 1, b: 2 })).toEqual({ sum: 3 });
    expect(calls).toHaveLength(1);
  });

  test('requests spread over the responders', async () => {
    const [asker, ...others] = await Promise.all([1, 2, 3, 4].map(() => fixture.open()));
    const calls = [0, 0, 0];
    await Promise.all(
      others.map((bus, index) =>
        bus.respond('who', () => {
          calls[index] = (calls[index] as number) + 1;
          return index;
        }),
      ),
    );
    await Promise.all(Array.from({ length: 300 }, () => asker?.request('who', null)));
    expect(calls.reduce((sum, count) => sum + count, 0)).toBe(300);
    expect(Math.min(...calls)).toBeGreaterThan(50);
  });

  test('several responders of one client share requests, each with an id of its own', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const [one, two] = [await bus.respond('who', () => 1), await bus.respond('who', () => 2)];
    expect(one.id).not.toBe(two.id);
    const answers = await Promise.all(Array.from({ length: 100 }, () => asker.request('who', 0)));
    expect(new Set(answers)).toEqual(new Set([1, 2]));
  });

  test('all responders answer, each once, and a failure is an answer too', async () => {
    const [asker, a, b] = [await fixture.open(), await fixture.open(), await fixture.open()];
    const good = await a.respond('vote', ({ data }) => `a ${data}`);
    const bad = await b.respond('vote', () => {
      throw new Error('no');
    });
    const answers = new Map<string, unknown>();
    for await (const { responder, data, error } of asker.request('vote', 1, { all: true })) {
      expect(answers.has(responder)).toBe(false);
      answers.set(responder, error === undefined ? data : [error.message, error]);
    }
    expect(answers).toEqual(
      new Map<string, unknown>([
        [good.id, 'a 1'],
        [bad.id, ['no', expect.any(HandlerError)]],
      ]),
    );
  });

  test('answers of those who are silent are timeouts, and the iterator ends', async () => {
    const [asker, a, b] = [await fixture.open(), await fixture.open(), await fixture.open()];
    const aborted = new Gate();
    const good = await a.respond('vote', () => 1);
    const silent = await b.respond('vote', (_, { signal }) => {
      signal.addEventListener('abort', () => aborted.open());
      return new Promise(() => {});
    });
    const answers = [];
    for await (const answer of asker.request('vote', null, { all: true, timeout: 2000 })) {
      answers.push(answer);
    }
    expect(answers).toEqual([
      { responder: good.id, data: 1 },
      { responder: silent.id, error: expect.objectContaining({ code: 'ERR_BUS_REQUEST_TIMEOUT' }) },
    ]);
    await aborted.opened;
  });

  test('a loop over answers that is left takes the request back', async () => {
    const [asker, a, b] = [await fixture.open(), await fixture.open(), await fixture.open()];
    const aborted = new Gate();
    await a.respond('vote', () => 1);
    await b.respond('vote', (_, { signal }) => {
      signal.addEventListener('abort', () => aborted.open());
      return new Promise(() => {});
    });
    for await (const answer of asker.request('vote', null, { all: true, timeout: NEVER })) {
      expect(answer.data).toBe(1);
      break;
    }
    await aborted.opened;
    const controller = new AbortController();
    const answers = asker.request('vote', null, {
      all: true,
      timeout: NEVER,
      signal: controller.signal,
    });
    expect((await answers.next()).value).toMatchObject({ data: 1 });
    const next = answers.next();
    controller.abort();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test('nobody responds: at once, also where a monitor listens to everything', async () => {
    const [asker, monitor] = [await fixture.open(), await fixture.open()];
    const heard: unknown[] = [];
    await monitor.subscribe('*', (event) => heard.push(event.type));
    await monitor.subscribe('*', () => {}, { by: 'channel' });
    const error = await rejection(asker.request('nobody', null, { timeout: NEVER }));
    expect(error).toMatchObject({
      code: 'ERR_BUS_NO_RESPONDERS',
      message: 'nobody responds to "nobody"',
      outcome: 'not_sent',
    });
    const answers = asker.request('nobody', null, { all: true, timeout: NEVER });
    expect(await rejection(answers.next())).toMatchObject({ code: 'ERR_BUS_NO_RESPONDERS' });
    expect(await answers.next()).toEqual({ done: true, value: undefined });
    await monitor.respond('somebody', () => 1);
    expect(await asker.request('somebody', null)).toBe(1);
    expect(heard).toEqual([]);
  });

  test('errors cross with what they are', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const thrown: unknown[] = [
      Object.assign(new RangeError('too big'), { code: 'TOO_BIG' }),
      new EventBusError('ERR_BUS_INVALID_DATA', 'data.x: is no x', { path: 'data.x' }),
      'a text',
    ];
    const responder = await bus.respond('fail', ({ data }) => {
      throw thrown[data];
    });
    const foreign = await rejection(asker.request('fail', 0));
    expect(foreign).toBeInstanceOf(HandlerError);
    expect(foreign).toMatchObject({
      code: 'ERR_BUS_HANDLER_FAILED',
      message: 'too big',
      responder: responder.id,
      cause: { name: 'RangeError', message: 'too big', code: 'TOO_BIG' },
    });
    expect((foreign.cause as Error).stack).toBe('RangeError: too big');
    const awaited = await (async () => {
      try {
        return await asker.request('fail', 0);
      } catch (error) {
        return (error as Error).stack;
      }
    })();
    expect((awaited as string).split('\n')[1]).toContain('requests.test');
    const own = await rejection(asker.request('fail', 1));
    expect(own).toMatchObject({
      name: 'ValidationError',
      code: 'ERR_BUS_INVALID_DATA',
      message: 'data.x: is no x',
      path: 'data.x',
    });
    expect(await rejection(asker.request('fail', 2))).toMatchObject({ message: 'a text' });
  });

  test('what a handler returns: nothing is null, and what JSON does not hold is an error', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const results: unknown[] = [
      undefined,
      rawJson('{"raw":[1]}'),
      1n,
      () => 1,
      'x'.repeat(600_000),
    ];
    await bus.respond('get', ({ data }) => results[data]);
    expect(await asker.request('get', 0)).toBeNull();
    expect(await asker.request('get', 1)).toEqual({ raw: [1] });
    expect(await rejection(asker.request('get', 2))).toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
    });
    expect(await rejection(asker.request('get', 3))).toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
    });
    expect(await rejection(asker.request('get', 4))).toMatchObject({
      code: 'ERR_BUS_EVENT_TOO_LARGE',
    });
  });

  test('a reply of 1 MiB', async () => {
    const validation = { maxDataBytes: 2 ** 21, maxEventBytes: 2 ** 21 };
    const [asker, bus] = [await fixture.open({ validation }), await fixture.open({ validation })];
    await bus.respond('get', ({ data }) => 'é'.repeat(data / 2));
    const reply = await asker.request<string, string>('get', 2 ** 20);
    expect(Buffer.byteLength(reply)).toBe(2 ** 20);
  });

  test('the handler sees an event that belongs to the request, and what it publishes inherits', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open({ serviceName: 'b' })];
    const later = new Promise<unknown>((resolve) => {
      void asker.subscribe('later', ({ metadata }) => resolve(metadata));
    });
    await eventually(() => asker.subscriberCount() === 1);
    await bus.respond('get', async ({ id, type, data, metadata }, ctx) => {
      await bus.publish('later', null);
      return [id, type, data, metadata.correlationId, metadata.own, metadata.userId, ctx.attempt];
    });
    const options = { correlationId: 'c', userId: 'u', metadata: { own: [1] } };
    const [id, ...rest] = await asker.request<string, string[]>('get', { a: 1 }, options);
    expect(rest).toEqual(['get', { a: 1 }, 'c', [1], 'u', 1]);
    expect(await later).toMatchObject({ correlationId: 'c', causationId: id });
  });

  test('no reply in time: the handler is told, and its late reply is counted', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const [aborted, finish] = [new Gate<unknown>(), new Gate()];
    const responder = await bus.respond('slow', async (_, { signal }) => {
      signal.addEventListener('abort', () => aborted.open(signal.reason));
      await finish.opened;
      return 1;
    });
    const error = await rejection(asker.request('slow', null, { timeout: 1000 }));
    expect(error).toMatchObject({
      name: 'TimeoutError',
      code: 'ERR_BUS_REQUEST_TIMEOUT',
      responder: responder.id,
      outcome: 'unknown',
    });
    expect(error.message).toContain('has not answered in 1000 ms');
    expect(await aborted.opened).toMatchObject({ code: 'ERR_BUS_ABORTED' });
    finish.open();
    expect(await asker.request('slow', null)).toBe(1);
    expect(asker.getStats().requests).toMatchObject({ requestsTimedOut: 1, requestsSent: 2 });
    // The handler that was told does not answer. One that is not of this package may do so all the same.
    const reply = { id: 1, responder: responder.id };
    await bus.publishToUser(`oxbus:inbox:${asker.instanceId}`, 'oxbus.reply', 1, {
      metadata: { reply },
    });
    await eventually(() => asker.getStats().requests.repliesLate === 1);
  });

  test('an abort reaches the handler, and one before the call sends nothing', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const [began, aborted] = [new Gate(), new Gate()];
    let calls = 0;
    await bus.respond('slow', (_, { signal }) => {
      calls += 1;
      began.open();
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted.open();
          reject(signal.reason);
        });
      });
    });
    const controller = new AbortController();
    const { signal } = controller;
    const call = rejection(asker.request('slow', null, { signal, timeout: NEVER }));
    await began.opened;
    controller.abort(new Error('enough'));
    expect(await call).toMatchObject({ code: 'ERR_BUS_ABORTED', cause: { message: 'enough' } });
    await aborted.opened;
    expect(await rejection(asker.request('slow', null, { signal }))).toMatchObject({
      code: 'ERR_BUS_ABORTED',
    });
    expect(calls).toBe(1);
    // A handler that stops when it is told to has not failed.
    await eventually(() => bus.getStats().eventsDelivered >= 1);
    expect(bus.getStats().handlerErrors).toBe(0);
  });

  test('the requester closes: its requests end, and the handler is told', async () => {
    const [asker, bus] = [await fixture.open(), await fixture.open()];
    const [began, aborted] = [new Gate(), new Gate()];
    await bus.respond('slow', (_, { signal }) => {
      signal.addEventListener('abort', () => aborted.open());
      began.open();
      return new Promise(() => {});
    });
    const call = rejection(asker.request('slow', null, { timeout: NEVER }));
    const answers = asker.request('slow', null, { all: true, timeout: NEVER });
    const next = rejection(answers.next());
    await began.opened;
    await asker.disconnect();
    expect(await call).toMatchObject({ code: 'ERR_BUS_CLOSED', outcome: 'unknown' });
    expect(await next).toMatchObject({ code: 'ERR_BUS_CLOSED' });
    await aborted.opened;
    expect(await rejection(asker.request('slow', null))).toMatchObject({ code: 'ERR_BUS_CLOSED' });
    expect(await rejection(asker.respond('slow', () => 1))).toMatchObject({
      code: 'ERR_BUS_CLOSED',
    });
  });
});
