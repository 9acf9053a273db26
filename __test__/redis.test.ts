/** What only a server that comes and goes can show. */

import { ConnectionError, EventBusClient, type EventBusConfig, EventBusError } from '..';
import { eventually } from './support/eventually';
import { losing } from './support/losing';
import { freePort, RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

let server: RedisServer;
const clients: EventBusClient[] = [];

beforeEach(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.disconnect({ timeout: 200 })));
  await server.stop();
});

function create(redis: object = {}, config: EventBusConfig = {}): EventBusClient {
  const where = { url: server.url, ...redis };
  const client = new EventBusClient({ redis: where, logger: keepingLogger(), ...config });
  clients.push(client);
  return client;
}

test('connect rejects in time when nobody is there, and goes on trying', async () => {
  await server.kill();
  const bus = create({ connectTimeout: 200 });
  const error: EventBusError = await bus.connect().then(
    () => Promise.reject(new Error('connected')),
    (e) => e,
  );
  expect(['ERR_BUS_CONNECT_TIMEOUT', 'ERR_BUS_CONNECTION_REFUSED']).toContain(error.code);
  expect(error.stack?.split('\n')[1]).toContain('redis.test.ts');
  await server.restart();
  await bus.waitUntilReady({ timeout: 10_000 });
  expect(bus.isConnected()).toBe(true);
});

test('connect names the server that takes connections and does not answer', async () => {
  server.freeze();
  try {
    const error = await rejection(create({ connectTimeout: 300 }).connect());
    expect(error.message).toContain(`127.0.0.1:${server.port}`);
  } finally {
    server.thaw();
  }
});

test('a wrong password is told at once', async () => {
  await server.command('CONFIG SET requirepass right');
  const started = performance.now();
  const bus = create({ password: 'wrong', connectTimeout: 30_000 });
  const error = await bus.connect().catch((e) => e);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(error).toBeInstanceOf(ConnectionError);
  expect(error).toBeInstanceOf(EventBusError);
  expect(error).toMatchObject({
    name: 'ConnectionError',
    code: 'ERR_BUS_AUTH_FAILED',
    category: 'connection',
    retryable: false,
  });
  expect(error.stack.split('\n')[1]).toContain('redis.test.ts');
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    name: 'ConnectionError',
    code: 'ERR_BUS_AUTH_FAILED',
    category: 'connection',
    retryable: false,
    message: error.message,
  });
  await expect(bus.publish('a', 1, { timeout: 50 })).rejects.toMatchObject({ outcome: 'not_sent' });
  expect(bus.subscriberCount()).toBe(0);
  const health = await bus.healthCheck();
  expect(health.status).toBe('unhealthy');
  for (const { error } of Object.values(health.connections)) {
    expect(error).toMatchObject({ code: 'ERR_BUS_AUTH_FAILED' });
  }
  await create({ password: 'right' }).connect();
  // The server comes to agree with this client: it is asked again, if not soon.
  await server.command('AUTH right\r\nCONFIG SET requirepass wrong');
  await bus.waitUntilReady({ timeout: 10_000 });
});

test('a signal ends the wait of connect', async () => {
  await server.kill();
  const abort = new AbortController();
  const call = create().connect({ signal: abort.signal });
  abort.abort();
  await expect(call).rejects.toMatchObject({ code: 'ERR_BUS_ABORTED' });
});

test('lazyConnect resolves at once', async () => {
  const bus = create({ lazyConnect: true });
  await bus.connect();
  await expect(bus.publish('a', 1)).resolves.toMatchObject({ type: 'a' });
});

test('after a crash it reconnects, subscribes again, and announces the gap', async () => {
  const bus = create();
  await bus.connect();
  const names: string[] = [];
  const seen: unknown[] = [];
  bus.on('disconnected', ({ error }) =>
    names.push(`disconnected ${error instanceof EventBusError}`),
  );
  bus.on('gap', ({ patterns, from, to }) => {
    expect(Date.parse(from)).toBeLessThanOrEqual(Date.parse(to));
    names.push(`gap ${patterns}`);
  });
  await bus.subscribe('a.*', (event) => seen.push(event.data));
  await losing(bus, ['publisher', 'subscriber'], () => server.kill());
  await server.restart();
  await bus.waitUntilReady({ timeout: 10_000 });
  await bus.publish('a.b', 'after');
  await eventually(() => seen.includes('after'));
  expect(names[0]).toBe('disconnected true');
  await eventually(() => names.filter((name) => name === 'gap a.*').length === 1);
  expect(bus.getStats().reconnections).toBeGreaterThan(0);
});

test('what a client tells of a server that goes and comes back', async () => {
  const bus = create();
  const told: string[] = [];
  bus.on('disconnected', ({ error }) => {
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.retryable).toBe(true);
    told.push('disconnected');
  });
  bus.on('reconnecting', ({ attempt, delay, error }) => {
    expect(attempt).toBeGreaterThanOrEqual(1);
    expect(delay).toBeGreaterThanOrEqual(0);
    expect(delay).toBeLessThanOrEqual(5000);
    expect(error).toBeInstanceOf(ConnectionError);
    told.push('reconnecting');
  });
  bus.on('gap', () => told.push('gap'));
  bus.on('ready', () => told.push('ready'));
  await bus.subscribe('a', () => {});
  await bus.waitUntilReady();
  await server.kill();
  await eventually(() => told.filter((name) => name === 'reconnecting').length >= 4);
  await server.restart();
  await bus.waitUntilReady({ timeout: 10_000 });
  const count = (name: string) => told.filter((one) => one === name).length;
  await eventually(() => count('ready') === 2 && count('gap') === 1);
  expect(told.slice(0, 2)).toEqual(['ready', 'disconnected']);
  await bus.publish('a', 1);
  expect([count('ready'), count('gap')]).toEqual([2, 1]);
  await bus.disconnect();
});

test('what could not be written in time was not sent', async () => {
  const bus = create();
  await bus.connect();
  await server.kill();
  await eventually(() => bus.state === 'reconnecting');
  const error = await bus.publish('a', 1, { timeout: 100 }).catch((e) => e);
  expect(error).toBeInstanceOf(EventBusError);
  expect(error).toMatchObject({ outcome: 'not_sent' });
  expect((error as EventBusError).stack?.split('\n')[1]).toContain('redis.test.ts');
  const health = await bus.healthCheck();
  expect(health.status).not.toBe('healthy');
});

test('a publish waits for the reconnection', async () => {
  const bus = create();
  await bus.connect();
  await server.kill();
  await eventually(() => bus.state === 'reconnecting');
  const call = bus.publish('a', 1, { timeout: 10_000 });
  await server.restart();
  await expect(call).resolves.toMatchObject({ type: 'a' });
});

test('messages of others are taken as they come, what is no event is counted', async () => {
  const bus = create({}, { channelPrefix: 'p:' });
  const seen: unknown[] = [];
  await bus.subscribe('*', (event) => seen.push(event));
  await server.command(`PUBLISH p:x '{"id":"1","type":"x","data":[1]}'`);
  await server.command('PUBLISH p:x nonsense');
  await eventually(() => bus.getStats().eventsForeign === 1);
  await eventually(() => seen.length === 1);
  expect(seen[0]).toMatchObject({
    id: '1',
    type: 'x',
    data: [1],
    metadata: { source: 'unknown', correlationId: '1', timestamp: expect.any(String) },
  });
});

test.each(['redis', 'hybrid'] as const)(
  'a message whose payload is not its data is foreign, once for all patterns, in mode %s',
  async (mode) => {
    const logger = keepingLogger();
    const bus = create({}, { channelPrefix: 'p:', mode, logger, logLevel: 'debug' });
    const seen: unknown[] = [];
    for (const pattern of ['x', '*', 'x*']) {
      await bus.subscribe(pattern, (event) => seen.push(event.data));
    }
    await bus.waitUntilReady();
    await server.command(`PUBLISH p:x '{"id":"1","type":"x","payload":{"n":1}}'`);
    await server.command(`PUBLISH p:x '{"type":"x"}'`);
    await server.command(`PUBLISH p:x '{"type":"x","data":7,"payload":1}'`);
    await eventually(() => seen.length === 6);
    expect(seen.filter((data) => data === null)).toHaveLength(3);
    expect(seen.filter((data) => data === 7)).toHaveLength(3);
    expect(bus.getStats().eventsForeign).toBe(1);
    await server.command(`EVAL "for n = 1, 100 do redis.call('PUBLISH', 'p:x', 'nonsense') end" 0`);
    await eventually(() => bus.getStats().eventsForeign === 101);
    const lines = logger.lines.filter((line) => line.message === 'a message is not an event');
    expect(lines[0]).toMatchObject({ level: 'debug', fields: { channel: 'p:x' } });
    expect(lines[0]?.fields.reason).toContain('no data');
    expect(lines.length).toBeLessThan(101);
  },
);

test('a subscription that could not be confirmed leaves nothing behind', async () => {
  const bus = create({ commandTimeout: 200 });
  await bus.connect();
  const kept = await bus.subscribe('kept', () => {});
  const ended = await bus.subscribe('ended', () => {});
  await losing(bus, ['publisher', 'subscriber'], () => server.kill());
  const error = await bus.subscribe('refused', () => {}).catch((e) => e);
  expect(error).toMatchObject({ code: 'ERR_BUS_COMMAND_TIMEOUT', retryable: true });
  expect(bus.subscriberCount()).toBe(2);
  // Whether it is confirmed or not, it is over here.
  await ended.unsubscribe().catch(() => {});
  expect(ended.state).toBe('closed');
  await server.restart();
  await bus.waitUntilReady({ timeout: 10_000 });
  // The count of `kept` and of the others: the second line of each pair.
  const counts = await Promise.all(
    ['kept', 'ended', 'refused'].map((channel) => server.command(`PUBSUB NUMSUB ${channel}`, 3)),
  );
  expect(counts).toEqual([':1', ':0', ':0']);
  expect(kept.state).toBe('active');
  expect(bus.subscriberCount()).toBe(1);
});

test('a server that is not there does not hold up disconnect', async () => {
  const bus = new EventBusClient({
    redis: { port: await freePort() },
    logger: keepingLogger(),
  });
  bus.connect().catch(() => {});
  await bus.disconnect({ timeout: 500 });
  expect(bus.state).toBe('closed');
});

test('what a live subscriber missed while it was cut off is read from the stream', async () => {
  const streams = [{ name: 'numbers', events: 'n' }];
  const [bus, publisher] = [create({}, { streams }), create({}, { streams })];
  const seen: number[] = [];
  const gaps: object[] = [];
  bus.on('gap', (gap) => gaps.push(gap));
  await bus.subscribe('n', (event) => seen.push(event.data));
  await publisher.publish('n', 0);
  await eventually(() => seen.length === 1);
  await server.command('CLIENT KILL TYPE pubsub');
  const missed = Array.from({ length: 20 }, (_, n) => n + 1);
  await Promise.all(missed.map((n) => publisher.publish('n', n)));
  await eventually(() => gaps.length === 1 && seen.length === 21);
  expect(gaps).toMatchObject([{ patterns: ['n'], complete: true, recovered: expect.any(Number) }]);
  await publisher.publish('n', 21);
  await eventually(() => seen.length === 22);
  expect(seen.sort((a, b) => a - b)).toEqual([0, ...missed, 21]);
});
