/** Hubs and Redis that restart, sockets that never read, permissions that end, and two thousand clients at once. */

import { join } from 'node:path';
import type { Server } from 'socket.io';
import { type BusEvent, EventBusClient } from '..';
import { createHub, type HubOptions } from '../socket.io';
import { eventually } from './support/eventually';
import { losing } from './support/losing';
import { RedisServer } from './support/redis-server';
import { runNode } from './support/scripts';
import { Opened, trusting } from './support/socket-io';
import { keepingLogger } from './support/transports';

/** Two thousand connections take ten seconds, and longer where the machine is busy. */
const LIMIT = 110_000;
const opened = new Opened();
const hubClient = opened.hubClient.bind(opened);
afterEach(() => opened.close());

async function openBus(url?: string): Promise<EventBusClient> {
  const where = url === undefined ? { memory: 'bounds' } : { redis: url };
  const bus = new EventBusClient({ logger: keepingLogger(), ...where });
  opened.add(() => bus.disconnect({ timeout: 500 }));
  await bus.connect();
  return bus;
}

async function serve(bus: EventBusClient, options: HubOptions = {}, port = 0, server: object = {}) {
  const { close, ...running } = await opened.server({ port, ...server });
  const hub = createHub(running.io, bus, { ...trusting, ...options });
  opened.add(() => hub.close());
  const stop = async () => {
    await hub.close();
    await close();
  };
  return { ...running, hub, stop };
}

/** Breaks all connections, as a network does. */
function cut(io: Server): void {
  for (const socket of io.of('/').sockets.values()) socket.conn.close();
}

test('a hub that restarts: subscriptions and rooms are restored, and the gap is told', async () => {
  const bus = await openBus();
  const { url, port, stop } = await serve(bus);
  const client = hubClient(url);
  const gaps: any[] = [];
  client.on('gap', (gap) => gaps.push(gap));
  const events: BusEvent[] = [];
  await client.subscribe('order.*', (event) => void events.push(event));
  await client.joinRoom('a', { member: 'ann' });
  await client.publish('order.placed', 1);
  await eventually(() => events.length === 1);
  await stop();
  await eventually(() => client.state === 'reconnecting');
  const missed = await bus.publish('order.placed', 2);
  // What is published meanwhile waits.
  const waiting = client.publish('order.placed', 3);
  const { hub } = await serve(bus, {}, port);
  await waiting;
  await eventually(() => events.length === 2 && gaps.length === 1);
  expect(events.map(({ data }) => data)).toEqual([1, 3]);
  const [gap] = gaps;
  expect(gap).toMatchObject({ patterns: ['order.*'], recovered: 0, complete: false });
  expect(gap.from <= missed.timestamp && missed.timestamp <= gap.to).toBe(true);
  expect(await bus.getRoomMembers('a')).toEqual(['ann']);
  await bus.publishToRoom('a', 'order.shipped', 4);
  await eventually(() => events.length === 3);
  expect(client.getStats()).toMatchObject({ reconnections: 1 });
  expect(hub.stats()).toMatchObject({ clients: 1, patterns: 1, rooms: 1 });
});

test('a publish whose connection is lost before the answer is unknown', async () => {
  const bus = await openBus();
  let wait: (() => void) | undefined;
  const { url, io } = await serve(bus, {
    authorize: (_client, action) =>
      action.name === 'publish'
        ? new Promise((resolve) => {
            wait = () => resolve(true);
          })
        : true,
  });
  const client = hubClient(url);
  const publish = client.publish('a', 1).catch((error) => error);
  await eventually(() => wait !== undefined);
  cut(io);
  expect(await publish).toMatchObject({ code: 'ERR_BUS_CONNECTION_LOST', outcome: 'unknown' });
});

test('a Redis that restarts: clients of the hub are told of the gap, and hear again', async () => {
  const redis = await RedisServer.start();
  opened.add(() => redis.stop());
  const bus = await openBus(redis.url);
  const { url, hub } = await serve(bus);
  const client = hubClient(url);
  const gaps: unknown[] = [];
  client.on('gap', (gap) => gaps.push(gap));
  const events: BusEvent[] = [];
  await client.subscribe('a', (event) => void events.push(event));
  await client.joinRoom('r');
  await losing(bus, ['publisher', 'subscriber'], () => redis.kill());
  await eventually(async () => (await client.healthCheck()).status === 'degraded');
  await redis.restart();
  await eventually(() => gaps.length === 1);
  expect(gaps[0]).toMatchObject({ patterns: ['a'], recovered: 0, complete: false });
  await bus.waitUntilReady();
  await client.publish('a', 1);
  await bus.publishToRoom('r', 'a', 2);
  await eventually(() => events.length === 2);
  expect(hub.stats()).toMatchObject({ gaps: 1, clients: 1 });
});

test('a client that never reads is dropped and counted, and nobody else notices', async () => {
  const bus = await openBus();
  const { url, io, hub } = await serve(bus, { maxBufferBytes: 1 << 20 });
  const good = hubClient(url);
  let count = 0;
  await good.subscribe('big', () => void count++);
  const slow = await opened.client(url, { reconnection: false });
  await slow.emitWithAck('oxbus:subscribe', 'big');
  // As one whose process is stopped: its end of the connection reads nothing.
  const { ws } = slow.io.engine.transport as any as { ws: { _socket: { pause(): void } } };
  ws._socket.pause();
  const data = 'x'.repeat(200_000);
  let published = 0;
  await eventually(async () => {
    await bus.publish('big', data);
    published += 1;
    await eventually(() => count === published);
    return hub.stats().slowClientsDropped === 1;
  });
  await eventually(() => io.of('/').sockets.size === 1);
  expect(hub.stats()).toMatchObject({ clients: 1, slowClientsDropped: 1, patterns: 1 });
});

test('what is written in one turn goes to a client for which nothing waits, whatever its size', async () => {
  const bus = await openBus();
  const { url, hub } = await serve(bus, { maxBufferBytes: 1024 });
  const client = hubClient(url);
  let count = 0;
  await client.subscribe('big', () => void count++);
  await bus.publishBatch(Array(10).fill({ type: 'big', data: 'x'.repeat(100_000) }));
  await eventually(() => count === 10);
  expect(hub.stats()).toMatchObject({ clients: 1, slowClientsDropped: 0 });
});

test('one that polls and comes no more is dropped, too', async () => {
  const bus = await openBus();
  const { url, hub } = await serve(bus, { maxBufferBytes: 4096 });
  const open = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse((await open.text()).slice(1));
  const post = (body: string) =>
    fetch(`${url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', body });
  await post('40');
  await eventually(() => hub.stats().clients === 1);
  await post('420["oxbus:subscribe","a"]');
  await eventually(() => hub.stats().patterns === 1);
  for (let n = 0; n < 10; n += 1) await bus.publish('a', 'x'.repeat(1000));
  await eventually(() => hub.stats().clients === 0);
  expect(hub.stats()).toMatchObject({ slowClientsDropped: 1, patterns: 0 });
});

test('what a client may have and ask is bounded', async () => {
  const bus = await openBus();
  const { url, hub } = await serve(bus, {
    maxClients: 2,
    maxPatterns: 2,
    maxRooms: 1,
    maxInFlight: 3,
    authorize: async (_client, action) => {
      if (action.name === 'members') await new Promise((resolve) => setTimeout(resolve, 50));
      return true;
    },
  });
  const socket = await opened.client(url);
  const code = async (...args: [string, ...unknown[]]) =>
    (await socket.emitWithAck(...args)).error?.code;
  const full = 'ERR_BUS_QUEUE_FULL';
  expect(await Promise.all(['a', 'b', 'c'].map((one) => code('oxbus:subscribe', one)))).toEqual([
    undefined,
    undefined,
    full,
  ]);
  expect(await code('oxbus:join', { room: 'a' })).toBeUndefined();
  expect(await code('oxbus:join', { room: 'b' })).toBe(full);
  const asked = await Promise.all([1, 2, 3, 4].map(() => code('oxbus:members', 'a')));
  expect(asked).toEqual([undefined, undefined, undefined, full]);
  for (const [name, ...args] of [
    ['oxbus:publish', 7],
    ['oxbus:publish', { type: 'a', extra: 1 }],
    ['oxbus:publish', { type: 'a', room: 'a', user: 'b' }],
    ['oxbus:publish', { type: 'a', broadcast: 7 }],
    ['oxbus:publish', { type: 7 }],
    ['oxbus:join', 7],
    ['oxbus:members', null],
    ['oxbus:auth', 7],
    ['oxbus:subscribe', 'a', 'topic'],
  ] as const) {
    expect(await code(name, ...args)).toBe('ERR_BUS_INVALID_OPTIONS');
  }
  expect(await code('oxbus:subscribe', [])).toBe('ERR_BUS_INVALID_PATTERN');
  await opened.client(url);
  await expect(opened.client(url)).rejects.toMatchObject({
    data: { code: 'ERR_BUS_SERVER_MAX_CLIENTS' },
  });
  expect(hub.stats()).toMatchObject({ clients: 2, refused: 4 });
});

test('a permission that ends: the client is asked for a new one, or is cut off', async () => {
  const bus = await openBus();
  let given = 0;
  const tokens: unknown[] = [];
  const { url, hub } = await serve(bus, {
    authorize({ auth }, action) {
      if (action.name !== 'connect') return true;
      tokens.push(auth.token);
      return { expires: Date.now() + (auth.token === 'old' ? 200 : 400) };
    },
  });
  const renewing = hubClient(url, { auth: async () => ({ token: ++given }) });
  const events: unknown[] = [];
  const gaps: unknown[] = [];
  renewing.on('gap', (gap) => gaps.push(gap));
  await renewing.subscribe('a', ({ data }) => void events.push(data));
  // It renews without a break.
  await eventually(() => given >= 4);
  await bus.publish('a', 1);
  await eventually(() => events.length === 1);
  expect([hub.stats().expired, gaps]).toEqual([0, []]);
  // One that cannot renew loses the connection, and comes back by itself, as any client of Socket.IO does.
  const old = hubClient(url, { auth: { token: 'old' } });
  await old.connect();
  await eventually(() => hub.stats().expired >= 1 && old.getStats().reconnections >= 1);
  const plain = await opened.client(url, { auth: { token: 'old' }, reconnectionDelay: 10 });
  await new Promise((resolve) => plain.once('disconnect', resolve));
  await new Promise<void>((resolve) => plain.once('connect', resolve));
  expect(tokens.filter((token) => token === 'old').length).toBeGreaterThanOrEqual(4);
});

test('an auth that fails is told, and tried again', async () => {
  const { url } = await serve(await openBus());
  let fails = 2;
  const client = hubClient(url, {
    auth() {
      fails -= 1;
      if (fails >= 0) throw new Error('no token');
      return {};
    },
  });
  const told: string[] = [];
  client.on('reconnecting', ({ error }) => told.push(error.message));
  await expect(client.connect()).rejects.toMatchObject({ code: 'ERR_BUS_AUTH_FAILED' });
  await eventually(() => client.isConnected());
  expect(told).toEqual(Array(2).fill('socketIO.auth failed: no token'));
});

test('where websockets do not work, it polls', async () => {
  const { url, io } = await serve(await openBus(), {}, 0, { transports: ['polling'] });
  const client = hubClient(url);
  const events: BusEvent[] = [];
  await client.subscribe('a', (event) => void events.push(event));
  await client.publish('a', { bytes: Buffer.from('x') });
  await eventually(() => events.length === 1);
  expect(events[0]!.data).toEqual({ bytes: Buffer.from('x') });
  const [socket] = [...io.of('/').sockets.values()];
  expect(socket!.conn.transport.name).toBe('polling');
});

test(
  'two thousand clients that come back at once have all that they had',
  async () => {
    const script = join(__dirname, 'support', 'socketio-many.mjs');
    const { code, out, err } = await runNode([script, '2000'], { limit: LIMIT });
    expect([code, err]).toEqual([0, '']);
    const { stats, ...seen } = JSON.parse(out);
    // Each heard the event to all, and those of one room another one.
    expect(seen).toEqual({ heard: 2040, twice: 40, members: 40 });
    expect(stats).toMatchObject({ clients: 2000, clientsConnected: 4000, patterns: 1, rooms: 50 });
    expect(stats).toMatchObject({ slowClientsDropped: 0, refused: 0, expired: 0, gaps: 0 });
  },
  LIMIT + 1000,
);
