/** `mode: 'socket.io'`: what a client of a hub has, what it has not, and what it refuses. */

import { createServer } from 'node:http';
import { type BusEvent, EventBusClient } from '..';
import { createHub, type HubOptions } from '../socket.io';
import { eventually } from './support/eventually';
import { rejection } from './support/rejection';
import { Opened, trusting } from './support/socket-io';

const opened = new Opened();
const hubClient = opened.hubClient.bind(opened);
afterEach(() => opened.close());

async function memoryHub(options: HubOptions = trusting) {
  const bus = new EventBusClient({ mode: 'memory', memory: 'surface', logLevel: 'error' });
  opened.add(() => bus.disconnect());
  const server = await opened.server();
  const hub = createHub(server.io, bus, options);
  opened.add(() => hub.close());
  return { ...server, bus, hub };
}

test('what a hub does not have rejects with a code and the name', async () => {
  const { url } = await memoryHub();
  const client = hubClient(url) as any;
  const calls: [string, () => Promise<unknown>][] = [
    ['request', () => client.request('a')],
    ['respond', () => client.respond('a', () => 1)],
    ['getEvent', () => client.getEvent('a')],
    ['getHistory', () => client.getHistory()],
    ['doctor', () => client.doctor()],
    ['replay', () => client.replay({ stream: 'a' })],
    ['streams.list', () => client.streams.list()],
    ['streams.info', () => client.streams.info('a')],
    ['deadLetters.list', () => client.deadLetters.list()],
    ['group', () => client.subscribe('a', () => {}, { group: 'g' })],
    ['maxRetries', () => client.subscribe('a', () => {}, { maxRetries: 1 })],
    ['retryOnError', () => client.subscribe('a', () => {}, { retryOnError: true })],
    ['filter', () => client.subscribe('a', () => {}, { filter: {} })],
    ['queue.maxEvents', () => client.subscribe('a', () => {}, { queue: { maxEvents: 0 } })],
    ['handler', () => client.subscribe('a', 7)],
    ['except', () => client.publishToRoom('a', 'b', 1, { except: ['x'] })],
    ['localOnly', () => client.publish('b', 1, { localOnly: true })],
    ['items', () => client.publishBatch(7)],
    ['room', () => client.joinRoom(7)],
    ['timeout', () => client.publish('a', 1, { timeout: -1 })],
  ];
  for (const [path, call] of calls) {
    expect([path, await rejection(call()).catch(String)]).toMatchObject([
      path,
      { code: 'ERR_BUS_INVALID_OPTIONS', path },
    ]);
  }
  expect(await rejection(client.subscribe(7, () => {}))).toMatchObject({
    code: 'ERR_BUS_INVALID_PATTERN',
  });
  expect(await rejection(client.subscribe('', () => {}))).toMatchObject({
    code: 'ERR_BUS_INVALID_PATTERN',
  });
  for (const data of [undefined, () => {}, 1n]) {
    expect(await rejection(client.publish('a', data))).toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
      outcome: 'not_sent',
    });
  }
  expect(await rejection(client.publish('', 1))).toMatchObject({ code: 'ERR_BUS_INVALID_TYPE' });
});

test('every method of a client is there', () => {
  const memory = new EventBusClient({ mode: 'memory', logLevel: 'error' });
  const client = hubClient('http://127.0.0.1:1');
  const own = [client, Object.getPrototypeOf(client)].flatMap(Object.getOwnPropertyNames);
  const names = new Set<string>();
  for (let at = Object.getPrototypeOf(memory); at !== Object.prototype; ) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
    at = Object.getPrototypeOf(at);
  }
  expect([...names].filter((name) => !own.includes(name))).toEqual([]);
  return memory.disconnect();
});

test('states, health, metrics and the end', async () => {
  const { url, hub, bus } = await memoryHub();
  const client = hubClient(url);
  const told: string[] = [];
  client.on('ready', () => told.push('ready'));
  client.on('closed', () => told.push('closed'));
  expect([client.state, client.isConnected()]).toEqual(['idle', false]);
  expect(await client.healthCheck()).toMatchObject({ status: 'unhealthy', latency: null });
  await Promise.all([client.connect(), client.waitUntilReady()]);
  expect([client.state, client.isConnected()]).toEqual(['ready', true]);
  const one = await client.subscribe('a.*', () => {});
  expect(client.subscriptions()).toEqual([{ id: one.id, pattern: 'a.*', state: 'active' }]);
  expect([client.subscriberCount('a.*'), client.subscriberCount('b')]).toEqual([1, 0]);
  expect(await client.healthCheck()).toMatchObject({
    status: 'healthy',
    state: 'ready',
    mode: 'socket.io',
    latency: expect.any(Number),
    connections: { hub: { status: 'up', refused: [] } },
  });
  expect(await client.metrics()).toContain('\noxbus_hub_client_connected 1\n');
  expect(JSON.parse(JSON.stringify(client))).toEqual({
    serviceName: 'photos',
    mode: 'socket.io',
    state: 'ready',
    instanceId: client.instanceId,
  });
  const results = await client.publishBatch([
    { type: 'a.b', data: 1 },
    { type: '', data: 2 },
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  await client.disconnect();
  expect(client.disconnect()).toBe(client.disconnect());
  expect(told).toEqual(['ready', 'closed']);
  expect(client.state).toBe('closed');
  for (const late of [client.publish('a', 1), client.subscribe('a', () => {}), client.connect()]) {
    expect(await rejection(late)).toMatchObject({ code: 'ERR_BUS_CLOSED' });
  }
  await eventually(() => hub.stats().clients === 0);
  // A hub whose bus has closed takes nobody.
  const late = hubClient(url);
  await bus.disconnect();
  expect(await rejection(late.connect({ timeout: 300 }))).toMatchObject({
    code: 'ERR_BUS_CLOSED',
  });
});

test('without a hub it rejects in time, and goes on trying', async () => {
  const port = await new Promise<number>((resolve) => {
    const http = createServer().listen(0, '127.0.0.1', () => {
      const { port } = http.address() as { port: number };
      http.close(() => resolve(port));
    });
  });
  const client = hubClient(`http://127.0.0.1:${port}`);
  const attempts: number[] = [];
  client.on('reconnecting', ({ attempt }) => attempts.push(attempt));
  expect(await rejection(client.connect({ timeout: 2000 }))).toMatchObject({
    code: 'ERR_BUS_CONNECTION_REFUSED',
  });
  expect(await rejection(client.publish('a', 1, { timeout: 50 }))).toMatchObject({
    code: 'ERR_BUS_PUBLISH_TIMEOUT',
    outcome: 'not_sent',
  });
  const abort = AbortSignal.abort('enough');
  expect(await rejection(client.publish('a', 1, { signal: abort }))).toMatchObject({
    code: 'ERR_BUS_ABORTED',
    outcome: 'not_sent',
  });
  await eventually(() => attempts.length >= 3);
  const waiting = client.publish('a', 1);
  const bus = new EventBusClient({ mode: 'memory', memory: 'late', logLevel: 'error' });
  opened.add(() => bus.disconnect());
  const { io } = await opened.server({ port });
  createHub(io, bus, trusting);
  expect(await waiting).toMatchObject({ type: 'a' });
});

test('queues are bounded, and what they drop is counted', async () => {
  const { url } = await memoryHub();
  const client = hubClient(url);
  const seen: number[] = [];
  let go!: () => void;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const handler = async ({ data }: BusEvent) => {
    await gate;
    seen.push(data as number);
  };
  await client.subscribe('n', handler, { concurrency: 1, queue: { maxEvents: 3 } });
  for (let n = 0; n < 10; n += 1) await client.publish('n', n);
  await eventually(() => client.getStats().eventsDropped === 6);
  go();
  await eventually(() => seen.length === 4);
  expect(seen).toEqual([0, 7, 8, 9]);
  const late: unknown[] = [];
  await client.subscribe(
    'slow',
    (_event, { signal }) =>
      new Promise(() => signal.addEventListener('abort', () => late.push(signal.reason))),
    { timeout: 20 },
  );
  client.on('error', (error) => late.push(error.code));
  await client.publish('slow', 1);
  await eventually(() => late.length === 2);
  expect(late).toContain('ERR_BUS_HANDLER_TIMEOUT');
  expect(client.getStats().zombieHandlers).toBe(1);
});

test.each<[string, object]>([
  ['socketIO', {}],
  ['socketIO', { socketIO: 'http://x' }],
  ['socketIO.url', { socketIO: {} }],
  ['socketIO.url', { socketIO: { url: 'redis://x' } }],
  ['socketIO.auth', { socketIO: { url: 'http://x', auth: 'token' } }],
  ['socketIO.transports', { socketIO: { url: 'http://x', transports: ['pigeon'] } }],
  ['socketIO.transports', { socketIO: { url: 'http://x', transports: [] } }],
  ['socketIO.path', { socketIO: { url: 'http://x', path: 'a' } }],
  ['socketIO.room', { socketIO: { url: 'http://x', room: 'a' } }],
  ['redis', { redis: 'redis://x', socketIO: { url: 'http://x' } }],
  ['streams', { streams: [], socketIO: { url: 'http://x' } }],
  ['serviceName', { serviceName: 7, socketIO: { url: 'http://x' } }],
  ['logger.debug', { logger: {}, socketIO: { url: 'http://x' } }],
  ['logLevel', { logLevel: 'loud', socketIO: { url: 'http://x' } }],
  ['inherit', { inherit: 1, socketIO: { url: 'http://x' } }],
])('%s is refused', (path, config) => {
  expect(() => new EventBusClient({ mode: 'socket.io', ...config } as never)).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG', path }),
  );
});

test('a class of its own cannot be made a client of a hub', () => {
  class Own extends EventBusClient {}
  const config = { mode: 'socket.io', socketIO: { url: 'http://127.0.0.1:9' } } as const;
  expect(() => new Own(config)).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG', path: 'mode' }),
  );
});
