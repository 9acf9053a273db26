/**
 * Socket.IO itself: a server with the classic Redis adapter, clients that are connected to it, and the emitter, from
 * `fixtures/wires`.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BusEvent, EventBusClient, EventBusConfig } from '../..';
import { eventually } from '../support/eventually';
import { rejection } from '../support/rejection';
import { awkwardPayloads } from './awkward-payloads';
import { beside, fromWires, installWires } from './beside';
import { heard as note } from './heard';

interface Emits {
  to(room: string | string[]): Emits;
  except(room: string): Emits;
  of(namespace: string): Emits;
  emit(event: string, ...args: unknown[]): unknown;
}
interface ServerSocket {
  handshake: { auth: { rooms?: string[] } };
  join(rooms: string[]): unknown;
}
interface Io extends Emits {
  of(namespace: string): Io;
  on(event: 'connection', listener: (socket: ServerSocket) => void): Io;
  serverSideEmit(event: string, data: unknown): boolean;
  close(): Promise<unknown>;
}
interface Socket {
  connected: boolean;
  onAny(listener: (event: string, ...args: unknown[]) => void): void;
  disconnect(): unknown;
}
type Redis = { disconnect(): void; publish(channel: string, message: Buffer): Promise<number> };

const on = beside({ config: { wire: 'socket.io' }, prepare: installWires });
const { client, closing } = on;
const PEER = 'socket.io, Redis adapter';

function redis(): Redis {
  const { Redis } = fromWires('ioredis') as { Redis: new (port: number) => Redis };
  const made = new Redis(on.server.port);
  closing(() => made.disconnect());
  return made;
}

/** A Socket.IO server whose clients say themselves which rooms they join. Resolves to its port. */
async function socketServer(
  namespaces = ['/'],
  key = 'socket.io',
): Promise<{ io: Io; port: number }> {
  const { Server } = fromWires('socket.io') as {
    Server: new (http: unknown, options: object) => Io;
  };
  const { createAdapter } = fromWires('@socket.io/redis-adapter') as {
    createAdapter(publish: Redis, subscribe: Redis, options: object): unknown;
  };
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(redis(), redis(), { key }) });
  for (const name of namespaces) {
    io.of(name).on('connection', (socket) => {
      const { rooms = [] } = socket.handshake.auth;
      if (rooms.length > 0) socket.join(rooms);
    });
  }
  closing(() => io.close());
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  // One pattern for each namespace.
  const patterns = `:${namespaces.length}`;
  await eventually(async () => (await on.server.command('PUBSUB NUMPAT')) === patterns);
  return { io, port: (http.address() as AddressInfo).port };
}

/** A connected client, and what it hears: the events with their arguments. */
async function browser(port: number, rooms: string[] = [], namespace = '/'): Promise<unknown[][]> {
  const { io } = fromWires('socket.io-client') as {
    io(url: string, options: object): Socket;
  };
  const options = { auth: { rooms }, transports: ['websocket'], forceNew: true };
  const socket = io(`http://127.0.0.1:${port}${namespace}`, options);
  closing(() => socket.disconnect());
  const heard: unknown[][] = [];
  socket.onAny((...event) => heard.push(event));
  await eventually(() => socket.connected);
  return heard;
}

function emitter(): Emits {
  const { Emitter } = fromWires('@socket.io/redis-emitter') as {
    Emitter: new (client: Redis) => Emits;
  };
  return new Emitter(redis());
}

const listen = async (bus: EventBusClient, pattern: string) => {
  const heard: BusEvent[] = [];
  await bus.subscribe(pattern, (event) => void heard.push(event));
  return heard;
};

test.each(awkwardPayloads)('a client hears what we publish to its room: %s', async (_, payload) => {
  const { port } = await socketServer();
  const [inside, outside] = [await browser(port, ['r']), await browser(port, ['other'])];
  const bus = await client();
  await bus.publishToRoom('r', 'order.placed', payload);
  await bus.broadcast('order.last', null);
  await eventually(() => inside.length === 2 && outside.length === 1);
  expect(inside).toEqual([
    ['order.placed', payload],
    ['order.last', null],
  ]);
  expect(outside).toEqual([['order.last', null]]);
  note(PEER, 'us');
});

test.each(awkwardPayloads)('we hear what servers and the emitter emit: %s', async (_, payload) => {
  const { io } = await socketServer();
  const bus = await client();
  const heard = await listen(bus, 'order.*');
  await bus.joinRoom('r');
  io.to('r').emit('order.placed', payload);
  await eventually(() => heard.length === 1);
  emitter().to('r').emit('order.shipped', payload);
  await eventually(() => heard.length === 2);
  io.emit('order.closed', payload);
  await eventually(() => heard.length === 3);
  expect(heard).toMatchObject([
    { type: 'order.placed', data: payload, metadata: { room: 'r' } },
    { type: 'order.shipped', data: payload, metadata: { room: 'r' } },
    { type: 'order.closed', data: payload },
  ]);
  for (const { data } of heard) expect(data).toEqual(payload);
  expect(bus.getStats().eventsForeign).toBe(0);
  note(PEER, 'them');
  note('@socket.io/redis-emitter', 'them');
});

test('users and those left out are rooms, and each namespace is a bus of its own', async () => {
  const { port } = await socketServer(['/', '/admin'], 'app');
  const [user, left, admin] = [
    await browser(port, ['user:u']),
    await browser(port, ['r', 'muted']),
    await browser(port, ['r'], '/admin'),
  ];
  const bus = await client({ channelPrefix: 'app#/' });
  const ofAdmin = await client({ channelPrefix: 'app#/admin' });
  await bus.publishToUser('u', 'a', 1);
  await bus.publishToRoom('r', 'a', 2, { except: ['muted'] });
  await ofAdmin.publishToRoom('r', 'a', 3);
  await bus.publish('a', 4);
  await ofAdmin.publish('a', 5);
  await eventually(() => user.length === 2 && left.length === 1 && admin.length === 2);
  expect([user, left, admin]).toEqual([
    [
      ['a', 1],
      ['a', 4],
    ],
    [['a', 4]],
    [
      ['a', 3],
      ['a', 5],
    ],
  ]);
});

test.each<[string, EventBusConfig]>([
  ['live', {}],
  ['hybrid', { mode: 'hybrid' }],
  ['kept', { persistence: {} }],
])('clients of Oxbus know each other by what servers do not read: %s', async (_, more) => {
  const [bus, other] = [await client({ serviceName: 'api', ...more }), await client()];
  await bus.waitUntilReady();
  const [own, live] = [await listen(bus, 'a.*'), await listen(other, '*')];
  const given = { key: 'k', userId: 'u', causationId: 'p', metadata: { tenant: { a: [null] } } };
  await other.joinRoom('r');
  const heardNot: unknown[] = [];
  await bus.subscribe('a.*', (event) => void heardNot.push(event), { noEcho: true });
  await bus.publish('a.b', { n: 1 }, { id: 'e-1', ...given });
  await bus.publishToRoom('r', 'a.c', { n: 2 }, { id: 'e-2', ...given });
  await bus.broadcast('a.d', { n: 3 }, { id: 'e-3', ...given });
  await eventually(() => live.length === 3 && own.length === 2);
  expect(live.map(({ id, data }) => [id, data])).toEqual([
    ['e-1', { n: 1 }],
    ['e-2', { n: 2 }],
    ['e-3', { n: 3 }],
  ]);
  const { metadata, ...members } = given;
  for (const { id, metadata: of } of live) {
    expect(of).toMatchObject({ source: 'api', correlationId: id, ...members, ...metadata });
  }
  expect(live.map(({ metadata: { room } }) => room)).toEqual([undefined, 'r', undefined]);
  expect(heardNot).toEqual([]);
  if (more.persistence === undefined) return;
  expect(await bus.getEvent('e-2')).toMatchObject({ type: 'a.c', data: { n: 2 } });
  await on.server.command('FLUSHALL');
  expect(await bus.getEvent('e-2')).toMatchObject({ type: 'a.c', data: { n: 2 } });
});

test('a group, retries and requests publish nothing that a server cannot read', async () => {
  const { io, port } = await socketServer();
  const page = await browser(port, ['r']);
  const channels: string[] = [];
  const watching = on.ioredis();
  watching.on('pmessage', (_pattern, channel) => channels.push(channel));
  await watching.psubscribe('*');
  const streams = [{ name: 'orders', events: 'stored.*', consumerGroups: ['g'] }];
  const bus = await client({ streams });
  const heard: unknown[] = [];
  await bus.subscribe('stored.*', ({ data }) => void heard.push(data), { group: 'g' });
  await bus.publish('stored.a', { n: 1 });
  const responder = await bus.respond('sum', ({ data }) => data);
  expect(await bus.request('sum', { x: 1 })).toMatchObject({ x: 1 });
  await responder.unsubscribe();
  await bus.publishToRoom('r', 'last', null);
  await eventually(() => heard.length === 1 && page.length === 2);
  expect(page).toEqual([
    ['stored.a', { n: 1 }],
    ['last', null],
  ]);
  // The server has thrown nothing, and goes on.
  io.to('r').emit('after', 1);
  await eventually(() => page.length === 3);
  expect(channels).toContain('socket.io#/#');
  expect(channels).toContain('socket.io#/#r#');
});

test('what is no event for us is counted, and the rest comes', async () => {
  const { io } = await socketServer();
  const bus = await client();
  const heard = await listen(bus, '*');
  await bus.joinRoom('a');
  // For several rooms: nobody here knows who has joined them. And what asks the servers, which is on channels of its own.
  io.to(['a', 'b']).emit('x', 1);
  io.serverSideEmit('x', 2);
  await redis().publish('socket.io#/#a#', Buffer.from([0xc1]));
  io.emit('x', 3, 'more');
  await eventually(() => heard.length === 1);
  expect(heard[0]?.data).toEqual([3, 'more']);
  expect(bus.getStats().eventsForeign).toBe(2);
});

test('what a packet cannot hold is refused before anything is sent', async () => {
  const bus = await client();
  let deep: unknown = null;
  for (let level = 0; level < 101; level += 1) deep = [deep];
  expect(await rejection(bus.publish('a', deep))).toMatchObject({
    code: 'ERR_BUS_INVALID_DATA',
    outcome: 'not_sent',
  });
});
