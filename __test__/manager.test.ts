/** The manager: flat events, its life, what it announces, and where its configuration comes from. */

import {
  EventBusClient,
  EventBusError,
  EventBusManager,
  type EventBusManagerOptions,
  type ReceivedFlatEvent,
} from '..';
import { eventually, Gate } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { runScript, withCopy } from './support/scripts';
import { Service } from './support/services';
import { keepingLogger } from './support/transports';

const clean = { code: 0, signal: null, err: '' };
const VARIABLES = ['REDIS_URL', 'REDIS_HOST', 'ENABLE_REDIS_EVENTS', 'NODE_ENV', 'SERVICE_NAME'];
const saved = { ...process.env };
const managers: EventBusManager[] = [];
let server: RedisServer;
let run = 0;

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(() => {
  run += 1;
  for (const name of VARIABLES) delete process.env[name];
});

afterEach(async () => {
  process.env = { ...saved };
  await Promise.all(managers.splice(0).map((manager) => manager.shutdown({ timeout: 500 })));
  await Service.endAll();
});

afterAll(() => server.stop());

function create(options: EventBusManagerOptions = {}): EventBusManager {
  const where = { memory: `manager-${run}`, channelPrefix: `manager-${run}:` };
  const manager = new EventBusManager({ logger: keepingLogger(), ...where, ...options });
  managers.push(manager);
  return manager;
}

/** What a handler of the manager has got. */
function collect() {
  const events: ReceivedFlatEvent[] = [];
  return {
    events,
    types: () => events.map(({ type }) => type),
    add: (e: ReceivedFlatEvent) => void events.push(e),
  };
}

describe.each(['memory', 'redis'])('%s', (transport) => {
  beforeEach(() => {
    if (transport === 'redis') process.env.REDIS_URL = server.url;
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
      ...(transport === 'redis' ? { redis: server.url } : { mode: 'memory' as const }),
      memory: `manager-${run}`,
      channelPrefix: `manager-${run}:`,
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

test.each<[string, unknown, string]>([
  ['nothing', undefined, ''],
  ['no object', 'a', ''],
  ['an unknown key', { type: 'a', data: {} }, 'data'],
  ['a wrong user', { type: 'a', userId: 5 }, 'userId'],
  ['a wrong time', { type: 'a', timestamp: 'yesterday' }, 'timestamp'],
  ['no JSON', { type: 'a', metadata: { n: 1n } }, 'data'],
  ['no type', { metadata: {} }, 'type'],
  ['a wrong type', { type: 'a b' }, 'type'],
])('an event is refused: %s', async (_, event, path) => {
  const error = await rejection(create().publish(event as never));
  expect(error).toMatchObject({ category: 'validation', path });
  expect(error.stack?.split('\n')[1]).toContain('manager.test.ts');
});

test.each<[string, (manager: EventBusManager) => Promise<unknown>, string]>([
  ['publish: an unknown option', (m) => m.publish({ type: 'a' }, { id: 'x' } as never), 'id'],
  ['publish: no flag', (m) => m.publish({ type: 'a' }, { localOnly: 1 } as never), 'localOnly'],
  [
    'publish: both sides alone',
    (m) => m.publish({ type: 'a' }, { localOnly: true, redisOnly: true }),
    'redisOnly',
  ],
  ['subscribe: no handler', (m) => m.subscribe('a', 5 as never), 'handler'],
  [
    'subscribe: no flag',
    (m) => m.subscribe('a', () => {}, { localOnly: 'x' as never }),
    'localOnly',
  ],
  ['subscribe: a batch', (m) => m.subscribe('a', () => {}, { batch: {} as never }), 'batch'],
  ['subscribe: an unknown option', (m) => m.subscribe('a', () => {}, { x: 1 } as never), 'x'],
  ['unsubscribe: no text', (m) => m.unsubscribe([5 as never]), 'ids'],
  ['shutdown: no time', (m) => m.shutdown({ timeout: -1 }), 'timeout'],
])('options are refused: %s', async (_, call, path) => {
  const error = await rejection(call(create()));
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
  expect(error.stack?.split('\n')[1]).toContain('manager.test.ts');
});

test.each<[object, string]>([
  [{ statusInterval: -1 }, 'statusInterval'],
  [{ statusInterval: '5' }, 'statusInterval'],
  [{ statusEverywhere: 1 }, 'statusEverywhere'],
  [{ shutdownSignals: ['SIGKILL'] }, 'shutdownSignals[0]'],
  [{ unknown: 1 }, 'unknown'],
  [{ streams: [{ name: 's', events: '*' }] }, 'redis'],
])('a configuration is refused by the first use: %j', async (options, path) => {
  const manager = create(options as EventBusManagerOptions);
  expect(await rejection(manager.publish({ type: 'a' }))).toMatchObject({
    code: 'ERR_BUS_INVALID_CONFIG',
    path,
  });
  // And it may be put right.
  await manager.initialize({ mode: 'memory', logger: keepingLogger() });
  expect(await rejection(manager.initialize({}))).toMatchObject({
    code: 'ERR_BUS_INVALID_OPTIONS',
    path: 'options',
  });
  await manager.initialize();
});

describe('the environment', () => {
  const modeOf = async (options: EventBusManagerOptions = {}) => {
    const logger = keepingLogger();
    const manager = create({ logger, ...options });
    await manager.initialize();
    const lines = logger.lines.filter(({ message }) => message.startsWith('no Redis'));
    return { mode: manager.client?.toJSON().mode, lines: lines.map(({ level }) => level) };
  };

  test('an address is Redis, none is memory, and one line says so', async () => {
    expect(await modeOf()).toEqual({ mode: 'memory', lines: ['info'] });
    process.env.REDIS_URL = server.url;
    const { mode, lines } = await modeOf();
    expect({ mode: mode !== 'memory', lines }).toEqual({ mode: true, lines: [] });
    process.env.ENABLE_REDIS_EVENTS = 'false';
    expect(await modeOf()).toMatchObject({ mode: 'memory' });
    expect(await modeOf({ mode: 'memory' })).toEqual({ mode: 'memory', lines: [] });
  });

  test('it works in production without an address, with a warning', async () => {
    process.env.NODE_ENV = 'production';
    expect(await modeOf()).toEqual({ mode: 'memory', lines: ['warn'] });
  });

  test('SERVICE_NAME is the source', async () => {
    process.env.SERVICE_NAME = 'rishi';
    const manager = create();
    const { events, add } = collect();
    await manager.subscribe('a', add);
    await manager.publish({ type: 'a' });
    await eventually(() => events.length === 1);
    expect(events[0]?.source).toBe('rishi');
  });
});

describe('the process', () => {
  const env = { REDIS_URL: undefined, REDIS_HOST: undefined, NODE_ENV: undefined };

  test('importing opens nothing, and there is one manager whatever is loaded', async () => {
    await withCopy(async (entry) => {
      const code = `
        const copy = require(args[0]);
        console.log(copy.eventBusManager === oxbus.eventBusManager, oxbus.eventBusManager.client);`;
      const ended = await runScript(code, [entry], { env });
      expect(ended).toMatchObject({ ...clean, out: 'true null\n' });
    });
  });

  test('a script that has published ends by itself, and one that listens by shutdown', async () => {
    const published = await runScript(
      `await oxbus.eventBusManager.initialize({ logLevel: 'error' });
      await oxbus.eventBusManager.publish({ type: 'a' });
      console.log(Date.now());`,
      [],
      { env },
    );
    expect(published).toMatchObject(clean);
    expect(published.at - Number(published.out)).toBeLessThan(1000);
    const listening = await runScript(
      `const { eventBusManager } = oxbus;
      await eventBusManager.initialize({ logLevel: 'error', statusInterval: 1 });
      await eventBusManager.subscribe('*', () => {});
      await new Promise((resolve) => setTimeout(resolve, 20));
      await eventBusManager.shutdown();
      console.log(Date.now());`,
      [],
      { env },
    );
    expect(listening).toMatchObject(clean);
    expect(listening.at - Number(listening.out)).toBeLessThan(1000);
  });

  test('told to end: it says so, drains, and exits with 0', async () => {
    const watching = create({ redis: server.url });
    const { types, add } = collect();
    await watching.subscribe('system.*', add);
    const told = new Service(
      `const { eventBusManager } = oxbus;
      setInterval(() => {}, 1000);
      await eventBusManager.initialize({ ...args, logLevel: 'error', shutdownSignals: true });
      await eventBusManager.subscribe('a', async () => {
        note('called');
        await new Promise((resolve) => setTimeout(resolve, 300));
        note('handled');
      });
      await eventBusManager.publish({ type: 'a' });`,
      { redis: server.url, channelPrefix: `manager-${run}:` },
    );
    await told.first('called');
    told.signal('SIGTERM');
    expect(await told.ended).toEqual(clean);
    expect(told.notes('handled')).toHaveLength(1);
    await eventually(() => types().includes('system.shutdown'));
  });
});

test('a server that is away holds a shutdown up no longer than it may', async () => {
  const manager = create({ mode: 'redis', redis: { port: 1, connectTimeout: 200 } });
  expect(await rejection(manager.initialize())).toBeInstanceOf(EventBusError);
  const started = performance.now();
  await manager.shutdown();
  expect(performance.now() - started).toBeLessThan(2000);
});
