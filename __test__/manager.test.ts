/** The manager: flat events, its life, and what it announces. */

import { EventBusClient, EventBusError, type ReceivedFlatEvent } from '..';
import { eventually, Gate } from './support/eventually';
import { collect, create, withManagers } from './support/managers';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

const setup = withManagers();

describe.each(['memory', 'redis'])('%s', (transport) => {
  beforeEach(() => {
    if (transport === 'redis') process.env.REDIS_URL = setup.server.url;
  });

  test('a flat event arrives as it was published', async () => {
    const manager = create({ serviceName: 'bookings' });
    const { events, add } = collect();
    await manager.subscribe('booking.*', add);
    const timestamp = new Date('2026-01-02T03:04:05.678Z');
    const event = {
      type: 'booking.created',
      userId: 'user123',
      organizationId: 'org456',
      timestamp,
      correlationId: 'booking_789',
      metadata: { bookingId: '789', status: 'confirmed' },
    };
    const { eventId } = await manager.publish(event);
    await eventually(() => events.length === 1);
    expect(events).toEqual([{ ...event, id: eventId, source: 'bookings' }]);
    expect(events[0]?.timestamp).toBeInstanceOf(Date);
  });

  test('on the bus the payload is the data and the rest is metadata', async () => {
    const manager = create();
    await manager.initialize();
    const other = new EventBusClient({
      ...(transport === 'redis' ? { redis: setup.server.url } : { mode: 'memory' as const }),
      ...setup.place,
      logger: keepingLogger(),
    });
    const seen: unknown[] = [];
    await other.subscribe('a', (event) => seen.push(event));
    await manager.publish({ type: 'a', userId: 'u', timestamp: 0, metadata: { n: 1 } });
    await eventually(() => seen.length === 1);
    expect(seen).toMatchObject([
      { data: { n: 1 }, metadata: { userId: 'u', timestamp: '1970-01-01T00:00:00.000Z' } },
    ]);
    const { events, add } = collect();
    await manager.subscribe('b', add);
    await other.publish('b', { m: 2 }, { organizationId: 'o', causationId: 'x' });
    await eventually(() => events.length === 1);
    expect(events).toMatchObject([
      { type: 'b', organizationId: 'o', causationId: 'x', metadata: { m: 2 } },
    ]);
    await other.disconnect();
  });

  test('what was received can be published again as it is', async () => {
    const manager = create();
    const { events, add } = collect();
    await manager.subscribe('a', add);
    await manager.publish({ type: 'a', userId: 'u' });
    await eventually(() => events.length === 1);
    expect(events[0]?.metadata).toEqual({});
    await manager.publish(events[0] as ReceivedFlatEvent);
    await eventually(() => events.length === 2);
    expect(events[1]).toEqual(events[0]);
  });

  test('what a handler publishes inherits the correlation', async () => {
    const manager = create();
    const { events, add } = collect();
    await manager.subscribe('effect', add);
    await manager.subscribe('cause', () => manager.publish({ type: 'effect' }));
    const { eventId } = await manager.publish({ type: 'cause', correlationId: 'c' });
    await eventually(() => events.length === 1);
    expect(events).toMatchObject([{ correlationId: 'c', causationId: eventId }]);
  });

  test('subscriptions end by their ids', async () => {
    const manager = create();
    const { types, add } = collect();
    const ids = await manager.subscribe(['a', 'b'], add);
    expect(ids).toEqual([expect.any(String)]);
    expect(await manager.unsubscribe(ids)).toBe(true);
    expect(await manager.unsubscribe(ids)).toBe(false);
    expect(await manager.unsubscribe('none')).toBe(false);
    const other = collect();
    await manager.subscribe('*', other.add);
    await manager.publish({ type: 'a' });
    await eventually(() => other.types().includes('a'));
    expect(types()).toEqual([]);
  });

  test('it tells of its life, and the next use begins a new one', async () => {
    const manager = create({ statusInterval: 20, statusEverywhere: true });
    const { events, types, add } = collect();
    expect(manager.client).toBeNull();
    await manager.subscribe('system.*', add);
    const first = manager.client;
    await eventually(() => types().includes('system.status'));
    expect(types()[0]).toBe('system.initialized');
    const { instanceId, serviceName } = first as EventBusClient;
    expect(events[0]?.metadata).toMatchObject({ instanceId, serviceName });
    expect(events[1]?.metadata).toMatchObject({
      mode: transport === 'memory' ? 'memory' : 'hybrid',
      uptime: expect.any(Number),
      activeSubscriptions: 1,
    });
    await manager.shutdown();
    expect(first?.state).toBe('closed');
    expect(manager.client).toBeNull();
    if (transport === 'memory') expect(types().at(-1)).toBe('system.shutdown');
    await manager.publish({ type: 'a' });
    expect(manager.client?.instanceId).not.toBe(instanceId);
  });

  test('others hear that it begins and ends', async () => {
    const [watching, watched] = [create({ statusInterval: 0 }), create({ statusInterval: 0 })];
    const { events, add } = collect();
    await watching.subscribe('system.*', add);
    await eventually(() => events.length === 1);
    await watched.initialize();
    await eventually(() => events.length === 2);
    const { instanceId } = watched.client as EventBusClient;
    await watched.shutdown();
    await eventually(() => events.length === 3);
    const own = events.filter(({ metadata }) => metadata.instanceId === instanceId);
    expect(own.map(({ type }) => type)).toEqual(['system.initialized', 'system.shutdown']);
  });

  test('statistics and health', async () => {
    const manager = create();
    await manager.subscribe('a', () => {});
    await manager.publish({ type: 'a' });
    await eventually(() => (manager.client?.getStats().eventsDelivered ?? 0) > 0);
    const { stats, health, uptime } = await manager.getSystemStats();
    expect(stats).toMatchObject({
      mode: transport === 'memory' ? 'memory' : 'hybrid',
      redisHealth:
        transport === 'memory'
          ? { connected: false, latency: null }
          : { connected: true, latency: expect.any(Number) },
      activeSubscriptions: 1,
    });
    expect(health.status).toBe('healthy');
    expect(uptime).toBeGreaterThan(0);
    expect((await manager.healthCheck()).status).toBe('healthy');
  });

  test('a probe opens the bus, but not again after it was shut down', async () => {
    const manager = create();
    await manager.healthCheck();
    await manager.client?.waitUntilReady();
    expect((await manager.healthCheck()).status).toBe('healthy');
    await manager.shutdown();
    expect(await manager.healthCheck()).toMatchObject({ status: 'unhealthy', state: 'closed' });
    const { stats } = await manager.getSystemStats();
    expect(stats.redisHealth.connected).toBe(false);
    expect(await manager.unsubscribe('x')).toBe(false);
    expect(manager.client).toBeNull();
  });

  test('shutdown drains: a running handler finishes and may still publish', async () => {
    const manager = create();
    const gate = new Gate();
    const started = new Gate();
    let result: unknown;
    await manager.subscribe('a', async () => {
      started.open();
      await gate.opened;
      result = await manager.publish({ type: 'b' });
    });
    await manager.publish({ type: 'a' });
    await started.opened;
    const ending = [manager.shutdown(), manager.shutdown()];
    await eventually(() => manager.client?.state === 'draining');
    expect(await rejection(manager.publish({ type: 'c' }))).toMatchObject({
      code: 'ERR_BUS_CLOSED',
    });
    gate.open();
    await Promise.all(ending);
    expect(result).toMatchObject({ type: 'b' });
    await manager.shutdown();
  });
});

test('in memory the sides are one', async () => {
  const manager = create();
  const { types, add } = collect();
  await manager.subscribe('a', add, { localOnly: true });
  await manager.publish({ type: 'a' }, { localOnly: true });
  await manager.publish({ type: 'a' }, { redisOnly: true });
  await eventually(() => types().length === 2);
});

test('a server that is away holds a shutdown up no longer than it may', async () => {
  const manager = create({ mode: 'redis', redis: { port: 1, connectTimeout: 200 } });
  expect(await rejection(manager.initialize())).toBeInstanceOf(EventBusError);
  const started = performance.now();
  await manager.shutdown();
  // A drain takes 10 s at the most.
  expect(performance.now() - started).toBeLessThan(6000);
});
