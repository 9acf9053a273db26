/** A program with the calls of platform's document, written anew, on the adapter. */

import type { EventBusManagerOptions } from '../..';
import {
  EventBusManager,
  eventBusManager,
  hybridEventBus,
  type ReceivedPlatformEvent,
} from '../../compat/platform';
import { inBothPlaces } from '../support/compat';
import { eventually } from '../support/eventually';
import { freePort, RedisServer } from '../support/redis-server';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';

const VARIABLES = ['REDIS_URL', 'REDIS_HOST', 'ENABLE_REDIS_EVENTS', 'NODE_ENV', 'SERVICE_NAME'];
const saved = { ...process.env };
beforeEach(() => {
  for (const name of VARIABLES) delete process.env[name];
});
afterEach(() => {
  process.env = { ...saved };
});

const booking = {
  type: 'booking.created',
  userId: 'user123',
  organizationId: 'org456',
  timestamp: new Date('2026-01-02T03:04:05.678Z'),
  correlationId: 'booking_789',
  metadata: { bookingId: '789', status: 'confirmed' },
};

test('there is one bus, under both names', () => {
  expect(hybridEventBus).toBe(eventBusManager);
});

inBothPlaces((place) => {
  const open = (options: EventBusManagerOptions = {}) =>
    place.closing(new EventBusManager({ ...place.options, ...options }));

  test('a booking reaches its handlers as it was published', async () => {
    const bus = open();
    const events: ReceivedPlatformEvent[] = [];
    const ids = await bus.subscribe<{ bookingId: string }>('booking.created', async (event) => {
      event.metadata.bookingId.trim();
      events.push(event);
    });
    await bus.publish(booking);
    await bus.publish({ type: 'booking.created', payload: { bookingId: '790' } });
    await eventually(() => events.length === 2);
    expect(events[0]).toMatchObject({ ...booking, payload: booking.metadata });
    expect(events[1]?.metadata).toEqual({ bookingId: '790' });
    expect(events[1]?.payload).toEqual({ bookingId: '790' });
    expect(await bus.unsubscribe(ids)).toBe(true);
    await bus.publish(events[0]!);
  });

  test('other instances get it, and not what is local', async () => {
    const [one, two] = [open(), open()];
    const seen: string[] = [];
    await two.subscribe('*', (event) => void seen.push(`two ${event.type}`));
    await one.subscribe('user.login', (event) => void seen.push(`one ${event.type}`), {
      localOnly: true,
    });
    await one.publish({ type: 'user.login', metadata: {} }, { redisOnly: true });
    await one.publish({ type: 'booking.created' });
    await eventually(() => seen.includes('two booking.created') && seen.includes('two user.login'));
    // In memory there is one side, and it is that of both instances.
    expect(seen.includes('one user.login')).toBe(place.transport === 'memory');
  });

  test('the history is asked for by type, newest first', async () => {
    const bus = open({ statusInterval: 0 });
    expect(await bus.getHistory({ eventType: 'booking.*' })).toEqual([]);
    await bus.publish(booking);
    await bus.publish({ ...booking, type: 'booking.changed' });
    await bus.publish({ type: 'other' });
    const source = place.transport === 'redis' ? 'redis' : 'all';
    const query = { eventType: 'booking.*', limit: 50, source } as const;
    const events = await bus.getHistory(query);
    expect(events.map(({ type }) => type)).toEqual(['booking.changed', 'booking.created']);
    expect(events[1]).toMatchObject({ ...booking, payload: booking.metadata });
    expect(await bus.getHistory({ ...query, limit: 1, order: 'asc' })).toHaveLength(1);
  });

  test('what is wrong is said', async () => {
    const bus = open();
    const why = async (call: Promise<unknown>) => {
      const { code, path } = await rejection(call);
      return [code, path];
    };
    const both = { type: 'a', metadata: { a: 1 }, payload: { a: 1 } };
    expect(await why(bus.publish(both))).toEqual(['ERR_BUS_INVALID_EVENT', 'payload']);
    expect((await why(bus.publish(undefined as never)))[0]).toBe('ERR_BUS_INVALID_EVENT');
    expect(await why(bus.publish({ type: 'a', data: 1 } as never))).toEqual([
      'ERR_BUS_INVALID_EVENT',
      'data',
    ]);
    expect(await why(bus.subscribe('a', undefined as never))).toEqual([
      'ERR_BUS_INVALID_OPTIONS',
      'handler',
    ]);
    expect((await why(bus.getHistory({ type: 'a' } as never)))[0]).toBe('ERR_BUS_INVALID_OPTIONS');
    expect((await why(bus.publish({ type: 'a' }, { both: 1 } as never)))[0]).toBe(
      'ERR_BUS_INVALID_OPTIONS',
    );
  });
});

describe('the environment', () => {
  let server: RedisServer;
  const managers: EventBusManager[] = [];
  const fromEnvironment = async (options: EventBusManagerOptions = {}) => {
    const bus = new EventBusManager({ logger: keepingLogger(), ...options });
    managers.push(bus);
    return bus;
  };
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(managers.splice(0).map((bus) => bus.shutdown()));
  });
  afterAll(() => server.stop());

  test('without ENABLE_REDIS_EVENTS an address is not used', async () => {
    process.env.REDIS_URL = server.url;
    const { stats } = await (await fromEnvironment()).getSystemStats();
    expect(stats).toMatchObject({ mode: 'memory', redisHealth: { connected: false } });
  });

  test('with it, it is', async () => {
    process.env.REDIS_URL = server.url;
    process.env.ENABLE_REDIS_EVENTS = 'true';
    const bus = await fromEnvironment();
    await bus.initialize();
    await eventually(async () => {
      const { stats } = await bus.getSystemStats();
      return stats.mode === 'hybrid' && stats.redisHealth.connected;
    });
    expect((await bus.healthCheck()).status).toBe('healthy');
    await bus.publish(booking);
    expect(await bus.getHistory({ source: 'redis', eventType: 'booking.*' })).toHaveLength(1);
    // For an hour, as the document has it.
    const [, key = ''] = (await server.command('KEYS event:*', 2)).match(/(.*)/) ?? [];
    const ttl = Number((await server.command(`PTTL ${key}`)).slice(1));
    expect(ttl).toBeGreaterThan(3_500_000);
    expect(ttl).toBeLessThanOrEqual(3_600_000);
  });

  test('handlers of the process work while Redis is away', async () => {
    const bus = await fromEnvironment({ redis: `redis://127.0.0.1:${await freePort()}` });
    const seen: string[] = [];
    await bus.subscribe('booking.created', (event) => void seen.push(event.type));
    const { remote } = await bus.publish(booking);
    await eventually(() => seen.length === 1);
    expect(remote).not.toBe('resolved');
    expect((await bus.getSystemStats()).stats.mode).toBe('local-only');
    await expect(bus.initialize({ mode: 'memory' })).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
    });
  });

  test('new options count when the bus is closed', async () => {
    const bus = await fromEnvironment();
    await bus.initialize({ mode: 'memory', memory: 'a', logger: keepingLogger() });
    await bus.shutdown();
    await bus.initialize({ mode: 'memory', memory: 'b', logger: keepingLogger() });
    expect(bus.manager.client?.isConnected()).toBe(true);
  });
});
