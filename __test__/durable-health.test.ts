/** What `healthCheck` and `getStats` tell of durable events. */

import type { EventBusClient, StreamConfig } from '..';
import { isDone, type RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { onBothTransports, onTransports } from './support/transports';

const publishAll = (bus: EventBusClient, count: number) =>
  Promise.all(Array.from({ length: count }, (_, n) => bus.publish('n', n)));

onBothTransports((fixture) => {
  test('each stream with its groups: what is pending, and what is unread', async () => {
    const streams = [streamFor('n', { consumerGroups: ['idle'] }), streamFor('other')];
    const bus = await fixture.open({ streams });
    const gate = new Gate();
    await bus.subscribe('n', () => gate.opened, { group: 'g' });
    await publishAll(bus, 5);
    const [{ name }, other] = streams as [StreamConfig, StreamConfig];
    const of = async (stream: string) => (await bus.healthCheck()).streams[stream];
    await eventually(async () => (await of(name))?.groups.g?.pending === 5);
    expect(await of(name)).toEqual({
      length: 5,
      pending: 5,
      lag: 5,
      groups: { g: { pending: 5, lag: 0 }, idle: { pending: 0, lag: 5 } },
    });
    gate.open();
    await eventually(() => isDone(bus, name, 'g'));
    expect(await of(name)).toMatchObject({ pending: 0, lag: 5 });
    expect(await of(other.name)).toMatchObject({ length: 0, pending: 0, groups: {} });
    expect((await bus.healthCheck()).status).toBe('healthy');
  });

  test('the counters of durable events balance', async () => {
    const stream = streamFor('n');
    const bus = await fixture.open({ streams: [stream] });
    await bus.subscribe(
      'n',
      ({ data }, { attempt }) => {
        if (data % 10 === 0) throw new Error('always');
        if (data % 10 === 1 && attempt === 1) throw new Error('once');
      },
      { group: 'g', maxRetries: 1, retry: { initialDelay: 1 } },
    );
    await publishAll(bus, 100);
    await eventually(() => isDone(bus, stream.name, 'g'));
    // The server has settled the last one a moment before it says so.
    await eventually(() => bus.getStats().eventsDeadLettered === 10);
    expect(bus.getStats()).toMatchObject({
      eventsPublished: 100,
      eventsReceived: 100,
      eventsDelivered: 90,
      eventsFailed: 10,
      eventsRetried: 20,
      handlerErrors: 30,
      eventsDropped: 0,
      eventsLost: 0,
      inFlight: 0,
      activeSubscriptions: 1,
      errorRate: 0.1,
    });
    expect(bus.getStats().latency.p50).toBeGreaterThan(0);
  });
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());

  test('the reader of each group is a connection of its own', async () => {
    const bus = await fixture.open({ streams: [streamFor('n')] });
    for (const group of ['g', 'h']) await bus.subscribe('n', () => {}, { group });
    await eventually(async () => {
      const { connections } = await bus.healthCheck();
      for (const name of ['publisher', 'consumer', 'reader:g', 'reader:h']) {
        expect(connections[name]).toMatchObject({ status: 'up', error: null, refused: [] });
        expect(connections[name]?.lastRoundTripAge).toEqual(expect.any(Number));
      }
    });
  });

  test('much that is pending, and a server that may lose streams, are warnings', async () => {
    const stream = streamFor('n', { consumerGroups: ['g'] });
    const bus = await fixture.open({ streams: [stream] });
    await publishAll(bus, 150);
    await raw.redis.xreadgroup('GROUP', 'g', 'gone', 'COUNT', 150, 'STREAMS', stream.name, '>');
    await raw.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      const { status, warnings, redis } = await bus.healthCheck();
      const codes = ['EVICTION_POLICY', 'MANY_PENDING', 'NO_PERSISTENCE'];
      expect(warnings.map(({ code }) => code).sort()).toEqual(codes);
      expect(redis?.maxmemoryPolicy).toBe('allkeys-lru');
      expect(status).toBe('healthy');
      const met: string[] = [];
      const other = fixture.create({ streams: [stream] });
      other.on('warning', ({ code }) => met.push(code));
      await other.connect();
      await eventually(() => met.includes('EVICTION_POLICY'));
    } finally {
      await raw.redis.config('SET', 'maxmemory-policy', 'noeviction');
    }
  });
});
