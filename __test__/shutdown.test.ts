/** Closing in the middle of everything: every promise settles, and nothing starts any more. */

import { EventBusClient, EventBusError } from '..';
import { eventually, Gate } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { keepingLogger, onBothTransports } from './support/transports';

/** A call of every kind, none of them awaited yet. */
function everything(bus: EventBusClient): Promise<unknown>[] {
  const events = bus.events('e');
  return [
    bus.connect(),
    bus.waitUntilReady(),
    ...Array.from({ length: 100 }, (_, n) => bus.publish('a', n)),
    bus.publishBatch([{ type: 'a', data: 1 }]),
    bus.broadcast('a', 1),
    bus.publish('a', 1, { signal: new AbortController().signal }),
    bus.subscribe('a', () => {}),
    bus.subscribe('a.*', () => {}, { signal: new AbortController().signal }),
    events.ready(),
    events.next(),
    bus.healthCheck(),
  ];
}

function expectSettled(results: PromiseSettledResult<unknown>[]): void {
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(EventBusError);
  }
}

onBothTransports((fixture) => {
  test.each([
    ['before anything was sent', () => Promise.resolve()],
    ['within the tick after', () => new Promise(process.nextTick)],
    ['while it is sent', () => new Promise(setImmediate)],
  ])('every call settles when its client closes %s', async (_, moment) => {
    for (const open of [() => fixture.create(), () => fixture.open()]) {
      const bus = await open();
      const calls = Promise.allSettled(everything(bus));
      await moment();
      const closed = bus.disconnect();
      expect(bus.disconnect({ timeout: 5 })).toBe(closed);
      expectSettled(await calls);
      await closed;
      expect(bus.state).toBe('closed');
      expect(bus.getStats().inFlight).toBe(0);
    }
  });

  test('handles of a closed client do no harm', async () => {
    const bus = await fixture.open();
    const subscription = await bus.subscribe('a', () => {});
    const events = bus.events('a');
    await events.ready();
    await bus.disconnect();
    expect(subscription.state).toBe('closed');
    subscription.pause();
    subscription.resume();
    expect(await subscription.unsubscribe({ wait: true })).toBe(false);
    await subscription[Symbol.asyncDispose]();
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await events[Symbol.asyncDispose]();
    expect(bus.subscriberCount()).toBe(0);
  });

  test('no handler starts after disconnect', async () => {
    const [bus, other] = [await fixture.open(), await fixture.open()];
    let closed = false;
    let late = 0;
    let seen = 0;
    await bus.subscribe('n', () => {
      seen += 1;
      if (closed) late += 1;
    });
    let running = true;
    const flow = (async () => {
      while (running)
        await Promise.all(Array.from({ length: 50 }, (_, n) => other.publish('n', n)));
    })();
    await eventually(() => seen > 100);
    await bus.disconnect();
    closed = true;
    const before = other.getStats().eventsPublished;
    await eventually(() => other.getStats().eventsPublished > before + 500);
    running = false;
    await flow;
    expect(late).toBe(0);
  });

  test('one signal may end many subscriptions', async () => {
    const bus = await fixture.open();
    const abort = new AbortController();
    const { signal } = abort;
    const subscriptions = await Promise.all(
      Array.from({ length: 30 }, () => bus.subscribe('a', () => {}, { signal })),
    );
    await subscriptions[0]?.unsubscribe();
    const events = bus.events('a', { signal });
    const next = events.next();
    await events.ready();
    abort.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    await eventually(() => subscriptions.every(({ state }) => state === 'closed'));
    await eventually(() => bus.getStats().activeSubscriptions === 0);
    expect(bus.subscriberCount()).toBe(0);
    await expect(bus.connect({ signal })).rejects.toMatchObject({ code: 'ERR_BUS_ABORTED' });
  });

  test('await using closes', async () => {
    const gate = new Gate();
    const bus = fixture.create();
    bus.on('closed', () => gate.open());
    {
      await using scoped = bus;
      await using subscription = await scoped.subscribe('a', () => {});
      expect(subscription.state).toBe('active');
    }
    await gate.opened;
    expect(bus.state).toBe('closed');
  });
});

test('a server that does not answer holds nothing up', async () => {
  const server = await RedisServer.start();
  try {
    const bus = new EventBusClient({
      redis: { url: server.url, commandTimeout: 300, connectTimeout: 300 },
      logger: keepingLogger(),
    });
    await bus.connect();
    server.freeze();
    const started = performance.now();
    const results = await Promise.allSettled([
      bus.publish('a', 1).catch((error) => {
        expect(error).toMatchObject({ outcome: 'unknown' });
        throw error;
      }),
      bus.subscribe('a', () => {}),
      bus.events('a').ready(),
      bus.healthCheck(),
    ]);
    expect(performance.now() - started).toBeLessThan(4000);
    expectSettled(results);
    expect(results.map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    const calls = Promise.allSettled(everything(bus));
    const closing = performance.now();
    await bus.disconnect({ timeout: 200 });
    expectSettled(await calls);
    expect(performance.now() - closing).toBeLessThan(4000);
  } finally {
    server.thaw();
    await server.stop();
  }
});
