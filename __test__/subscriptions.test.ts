import type { BusEvent } from '..';
import { streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  test('a subscription tells its id, pattern and state, and ends once', async () => {
    const bus = await fixture.open();
    const sub = await bus.subscribe(['a', 'b.*'], () => {});
    expect(sub).toMatchObject({ id: expect.any(String), pattern: ['a', 'b.*'], state: 'active' });
    expect(bus.getStats().activeSubscriptions).toBe(1);
    expect(await bus.unsubscribe(sub.id)).toBe(true);
    expect(sub.state).toBe('closed');
    expect(await sub.unsubscribe()).toBe(false);
    expect(await bus.unsubscribe(sub.id)).toBe(false);
    expect(await bus.unsubscribe('no such')).toBe(false);
    expect(bus.getStats().activeSubscriptions).toBe(0);
  });

  test('a client lists its subscriptions as they are', async () => {
    const stream = streamFor('a.*');
    const bus = await fixture.open({ streams: [stream, streamFor('b')] });
    expect(bus.subscriptions()).toEqual([]);
    const live = await bus.subscribe(['a.x', 'b'], () => {});
    const durable = await bus.subscribe('a.*', () => {}, { group: 'g' });
    const iterator = bus.events('b');
    const states = () => bus.subscriptions().map(({ state }) => state);
    expect(states()).toEqual(['active', 'active', 'pending']);
    await iterator.ready();
    durable.pause();
    const listed = bus.subscriptions();
    expect(listed).toEqual([
      { id: live.id, pattern: ['a.x', 'b'], state: 'active' },
      { id: durable.id, pattern: 'a.*', group: 'g', streams: [stream.name], state: 'paused' },
      { id: expect.any(String), pattern: 'b', state: 'active' },
    ]);
    // A copy: the subscription does not change with it.
    (listed[0]!.pattern as string[]).push('c');
    expect(live.pattern).toEqual(['a.x', 'b']);
    expect(await bus.unsubscribe(live.id)).toBe(true);
    await iterator.return?.();
    expect(bus.subscriptions().map(({ id }) => id)).toEqual([durable.id]);
    await bus.disconnect();
    expect(bus.subscriptions()).toEqual([]);
  });

  test('no call starts after unsubscribe has resolved', async () => {
    const bus = await fixture.open();
    let late = 0;
    let closed = false;
    const sub = await bus.subscribe('n', () => {
      if (closed) late += 1;
    });
    const flood = Promise.all(Array.from({ length: 500 }, (_, n) => bus.publish('n', n)));
    await sub.unsubscribe();
    closed = true;
    await flood;
    const seen: unknown[] = [];
    await bus.subscribe('end', () => seen.push(1));
    await bus.publish('end', 1);
    await eventually(() => seen.length === 1);
    expect(late).toBe(0);
  });

  test('unsubscribe({ wait }) waits for running calls, but not for its own', async () => {
    const bus = await fixture.open();
    const other = new Gate();
    const order: string[] = [];
    const sub = await bus.subscribe('a', async (event) => {
      if (event.data === 'slow') {
        await other.opened;
        order.push('slow done');
        return;
      }
      await Promise.resolve();
      const ended = sub.unsubscribe({ wait: true });
      other.open();
      expect(await ended).toBe(true);
      order.push('unsubscribed');
    });
    await bus.publish('a', 'slow');
    await bus.publish('a', 'ending');
    await eventually(() => order.length === 2);
    expect(order).toEqual(['slow done', 'unsubscribed']);
  });

  test('a pattern can be subscribed again while its end is on its way', async () => {
    const bus = await fixture.open();
    for (let round = 0; round < 20; round += 1) {
      const seen: number[] = [];
      const first = await bus.subscribe('a', () => {});
      const ended = first.unsubscribe();
      const second = await bus.subscribe('a', (event) => seen.push(event.data));
      expect(await ended).toBe(true);
      await bus.publish('a', round);
      await eventually(() => seen.length === 1);
      await second.unsubscribe();
    }
  });

  test('a sync handler may end its own subscription', async () => {
    const bus = await fixture.open();
    const seen: unknown[] = [];
    const sub = await bus.subscribe('a', (event) => {
      seen.push(event.data);
      void sub.unsubscribe({ wait: true });
    });
    await Promise.all([1, 2, 3].map((n) => bus.publish('a', n)));
    await eventually(() => sub.state === 'closed');
    expect(seen).toEqual([1]);
  });

  test('pause holds events back, resume hands them out in order', async () => {
    const bus = await fixture.open();
    const seen: number[] = [];
    const witness: number[] = [];
    const sub = await bus.subscribe('n', (event) => seen.push(event.data));
    await bus.subscribe('n', (event) => witness.push(event.data));
    sub.pause();
    expect(sub.state).toBe('paused');
    const numbers = Array.from({ length: 600 }, (_, n) => n);
    await Promise.all(numbers.map((n) => bus.publish('n', n)));
    await eventually(() => witness.length === numbers.length);
    expect(seen).toEqual([]);
    sub.resume();
    await eventually(() => seen.length === numbers.length);
    expect(seen).toEqual(numbers);
  });

  test('a signal ends a subscription, or refuses it', async () => {
    const bus = await fixture.open();
    const abort = new AbortController();
    const sub = await bus.subscribe('a', () => {}, { signal: abort.signal });
    abort.abort();
    await eventually(() => sub.state === 'closed');
    await expect(bus.subscribe('a', () => {}, { signal: abort.signal })).rejects.toMatchObject({
      code: 'ERR_BUS_ABORTED',
    });
    await eventually(() => bus.getStats().activeSubscriptions === 0);
  });

  test.each<[string, object]>([
    ['an unknown key', { concurency: 1 }],
    ['what hybrid mode has', { localOnly: true }],
    ['a bad value', { concurrency: 0 }],
    ['retryIf that is none', { retryIf: 5 }],
    ['a function', { filter: () => true }],
    ['a signal that is none', { signal: {} }],
    ['not an object', [] as object],
  ])('options are refused: %s', async (_, options) => {
    const bus = await fixture.open();
    await expect(bus.subscribe('a', () => {}, options)).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
    });
    expect(bus.getStats().activeSubscriptions).toBe(0);
  });

  test('a handler must be a function', async () => {
    const bus = await fixture.open();
    await expect(bus.subscribe('a', 'no' as never)).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
    });
  });

  test('subscribeAll handles what a projection declares', async () => {
    const bus = await fixture.open();
    const projection = {
      seen: [] as string[],
      subscribedTo: () => ['a', 'b'],
      handle(event: BusEvent) {
        this.seen.push(event.type);
      },
    };
    await bus.subscribeAll(projection);
    for (const type of ['a', 'c', 'b']) await bus.publish(type, 1);
    await eventually(() => projection.seen.length === 2);
    expect(projection.seen).toEqual(['a', 'b']);
  });

  test('noEcho skips the events of the same client', async () => {
    const [bus, other] = [await fixture.open(), await fixture.open()];
    const seen: unknown[] = [];
    await bus.subscribe('a', (event) => seen.push(event.data), { noEcho: true });
    await bus.publish('a', 'own');
    await other.publish('a', 'of another');
    await eventually(() => seen.length === 1);
    expect(seen).toEqual(['of another']);
  });

  test('a filter decides before JavaScript wakes', async () => {
    const bus = await fixture.open();
    const seen: number[] = [];
    await bus.subscribe('job', (event) => seen.push(event.data.n), {
      filter: { 'data.status': ['failed', 'lost'], 'metadata.source': 'api' },
    });
    const publish = (n: number, status: string, source = 'api') =>
      bus.publish('job', { n, status }, { source });
    await publish(1, 'done');
    await publish(2, 'failed');
    await publish(3, 'failed', 'elsewhere');
    await publish(4, 'lost');
    await eventually(() => seen.length === 2);
    expect(seen).toEqual([2, 4]);
    expect(bus.getStats().eventsSkipped).toBe(2);
  });

  test('events() iterates in order and unsubscribes on break', async () => {
    const bus = await fixture.open();
    const events = bus.events('n.*');
    await events.ready();
    const numbers = Array.from({ length: 600 }, (_, n) => n);
    const published = Promise.all(numbers.map((n) => bus.publish('n.x', n)));
    const seen: number[] = [];
    for await (const event of events) {
      seen.push(event.data);
      if (seen.length === numbers.length) break;
    }
    await published;
    expect(seen).toEqual(numbers);
    expect(bus.getStats().activeSubscriptions).toBe(0);
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  test('events() refuses a bad pattern at its first next()', async () => {
    const bus = await fixture.open();
    const events = bus.events('');
    await expect(events.next()).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_PATTERN' });
    await expect(bus.events('a', { timeout: 5 } as never).next()).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
    });
  });

  test('events() ends when it is disposed, its signal aborts or the client closes', async () => {
    const bus = await fixture.open();
    const disposed = bus.events('a');
    await disposed.ready();
    const next = disposed.next();
    await disposed[Symbol.asyncDispose]();
    expect((await next).done).toBe(true);
    const abort = new AbortController();
    const aborted = bus.events('a', { signal: abort.signal });
    await aborted.ready();
    const second = aborted.next();
    abort.abort();
    expect((await second).done).toBe(true);
    const left = bus.events('b');
    await left.ready();
    await bus.publish('b', 1);
    expect((await left.next()).done).toBe(false);
    await bus.disconnect();
    expect((await left.next()).done).toBe(true);
  });
});
