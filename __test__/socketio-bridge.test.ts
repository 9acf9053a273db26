/** `attachSocketIO`: events of a bus to the sockets of one server, and of several. */

import type { Socket } from 'socket.io-client';
import { EventBusClient, type EventBusConfig } from '..';
import { type AttachOptions, attachSocketIO, type SocketIORoute } from '../socket.io';
import { eventually } from './support/eventually';
import { losing } from './support/losing';
import { RedisServer } from './support/redis-server';
import { heard, Opened } from './support/socket-io';
import { keepingLogger } from './support/transports';

let redis: RedisServer;
const opened = new Opened();

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterEach(() => opened.close());
afterAll(() => redis.stop());

/** The three routes of the document. */
const ROUTES: SocketIORoute[] = [
  {
    on: 'campaign.status.changed',
    to: 'campaign:{data.campaignId|metadata.campaignId}',
    emit: 'campaign.status.updated',
  },
  { on: 'timer.executed', to: 'campaign:{data.campaignId}', emit: 'timer.executed' },
  { on: 'system.alert', to: 'all', emit: 'system.alert' },
];

async function openBus(config: EventBusConfig = {}): Promise<EventBusClient> {
  const bus = new EventBusClient({ redis: redis.url, logger: keepingLogger(), ...config });
  opened.add(() => bus.disconnect({ timeout: 500 }));
  await bus.connect();
  return bus;
}

const join = (socket: Socket, room: unknown) => socket.emitWithAck('join', room);
const permissive = { rooms: { authorize: () => true } };

async function bridge(options: AttachOptions & { adapter?: boolean } = {}, routes = ROUTES) {
  const { adapter = false, ...given } = options;
  const bus = await openBus();
  const server = await opened.server(adapter ? { redis: redis.url } : {});
  const attached = attachSocketIO(bus, server.io, routes, { ...permissive, ...given });
  opened.add(() => attached.detach());
  await attached.ready();
  return { ...server, bus, attached };
}

test('events reach the rooms that their data names, and all sockets', async () => {
  const { url, bus, attached } = await bridge();
  const [seven, eight] = [await opened.client(url), await opened.client(url)];
  const names = ['campaign.status.updated', 'timer.executed', 'system.alert'];
  const all = [seven, eight].map((socket) => names.map((name) => heard(socket, name)));
  expect([await join(seven, 'campaign:7'), await join(eight, 'campaign:8')]).toEqual([
    { ok: true },
    { ok: true },
  ]);
  await bus.publish('campaign.status.changed', { campaignId: 7, status: 'paused' });
  await bus.publish('campaign.status.changed', {}, { metadata: { campaignId: '8' } });
  await bus.publish('timer.executed', { campaignId: '8' });
  await bus.publish('timer.executed', { campaignId: '9' });
  await bus.publish('system.alert', 'down');
  await eventually(() => all.every(([, , alerts]) => alerts!.length === 1));
  const types = all.map((lists) => lists.map((list) => list.map(({ data }) => data)));
  expect(types).toEqual([
    [[{ campaignId: 7, status: 'paused' }], [], ['down']],
    [[{}], [{ campaignId: '8' }], ['down']],
  ]);
  expect(all[0]![0]![0]).toMatchObject({
    id: expect.any(String),
    type: 'campaign.status.changed',
    metadata: { source: bus.serviceName },
  });
  expect(attached.stats()).toMatchObject({ events: 5, emitted: 4, withoutSockets: 1, joins: 2 });
});

test('an event without the field of its room is counted, and told once', async () => {
  const told: unknown[] = [];
  const { bus, attached } = await bridge({ onError: (error) => told.push(error) });
  for (const data of [{}, { campaignId: null }, { campaignId: '' }, { campaignId: {} }, null]) {
    await bus.publish('timer.executed', data);
  }
  await bus.publish('timer.executed', { __proto__: { campaignId: 1 } });
  await eventually(() => attached.stats().missingField === 6);
  expect(told).toEqual([
    expect.objectContaining({ code: 'ERR_BUS_INVALID_EVENT', path: 'data.campaignId' }),
  ]);
});

test('sockets join where authorize allows it, and leave', async () => {
  const asked: unknown[] = [];
  const told: unknown[] = [];
  const { url, io, bus, attached } = await bridge({
    onError: (error) => told.push(error),
    rooms: {
      async authorize({ handshake }, room) {
        asked.push([handshake.auth.token, room]);
        if (room === 'campaign:broken') throw new Error('no database');
        return handshake.auth.token === 't' && room !== 'campaign:secret';
      },
      maxRooms: 2,
    },
  });
  const good = await opened.client(url, { auth: { token: 't' } });
  const bad = await opened.client(url);
  const denied = { ok: false, error: { code: 'ERR_BUS_PERMISSION_DENIED' } };
  expect(await join(bad, 'campaign:7')).toMatchObject(denied);
  expect(await join(good, 'campaign:secret')).toMatchObject(denied);
  expect(await join(good, 'campaign:broken')).toMatchObject(denied);
  expect(told).toEqual([expect.objectContaining({ message: 'no database' })]);
  for (const wrong of ['', 7, null, 'oxbus:x', 'x'.repeat(513)]) {
    expect(await join(good, wrong)).toMatchObject({ error: { code: 'ERR_BUS_INVALID_OPTIONS' } });
  }
  expect(await join(good, 'campaign:7')).toEqual({ ok: true });
  expect(await join(good, 'campaign:7')).toEqual({ ok: true });
  expect(await join(good, 'campaign:8')).toEqual({ ok: true });
  expect(await join(good, 'campaign:9')).toMatchObject({ error: { code: 'ERR_BUS_QUEUE_FULL' } });
  expect(asked).toHaveLength(5);
  const timers = heard(good, 'timer.executed');
  expect(await good.emitWithAck('leave', 'campaign:7')).toEqual({ ok: true });
  await bus.publish('timer.executed', { campaignId: '7' });
  await bus.publish('timer.executed', { campaignId: '8' });
  await eventually(() => timers.length === 1);
  expect(timers[0].data).toEqual({ campaignId: '8' });
  expect(attached.stats()).toMatchObject({ joins: 2, leaves: 1, joinsDenied: 9 });
  // After `detach` nobody joins, and nothing comes; sockets and bus are left alone.
  await attached.detach();
  good.emit('join', 'campaign:9');
  await bus.publish('timer.executed', { campaignId: '8' });
  const [socket] = await io.fetchSockets();
  expect([...socket!.rooms]).toEqual(expect.not.arrayContaining(['campaign:9']));
  expect(timers).toHaveLength(1);
  expect(bus.subscriberCount()).toBe(0);
});

test('sockets that were there before, and a namespace', async () => {
  const bus = await openBus();
  const { io, url } = await opened.server();
  const socket = await opened.client(`${url}/ops`).catch(async () => {
    io.of('/ops');
    return opened.client(`${url}/ops`);
  });
  const attached = attachSocketIO(bus, io.of('/ops'), ROUTES, permissive);
  await attached.ready();
  const alerts = heard(socket, 'system.alert');
  expect(await join(socket, 'a')).toEqual({ ok: true });
  await bus.publish('system.alert', 1);
  await eventually(() => alerts.length === 1);
  await attached.detach();
});

describe.each([false, true])('three processes, with an adapter: %s', (adapter) => {
  test('each socket gets an event once, and nothing goes over the adapter', async () => {
    const processes = [
      await bridge({ adapter }),
      await bridge({ adapter }),
      await bridge({ adapter }),
    ];
    const sockets = await Promise.all(
      processes.flatMap(({ url }) => [opened.client(url), opened.client(url)]),
    );
    const updates = sockets.map((socket) => heard(socket, 'campaign.status.updated'));
    const alerts = sockets.map((socket) => heard(socket, 'system.alert'));
    for (const socket of sockets) await join(socket, 'campaign:7');
    const published = processes.flatMap(({ clients: [publisher] }) =>
      publisher === undefined ? [] : [jest.spyOn(publisher, 'publish')],
    );
    for (let n = 0; n < 20; n += 1) {
      await processes[0]!.bus.publish('campaign.status.changed', { campaignId: 7, n });
    }
    await processes[1]!.bus.publish('system.alert', 'last');
    await eventually(() => alerts.every((list) => list.length > 0));
    for (const list of updates)
      expect(list.map(({ data }) => data.n)).toEqual([...Array(20).keys()]);
    for (const list of alerts) expect(list).toHaveLength(1);
    expect(published).toHaveLength(adapter ? 3 : 0);
    for (const spy of published) expect(spy).not.toHaveBeenCalled();
  });
});

test('with a group exactly one process emits a stored event, over the adapter', async () => {
  const streams = [{ name: 'alerts', events: 'system.alert' }];
  const open = async () => {
    const bus = await openBus({ streams });
    const server = await opened.server({ redis: redis.url });
    const attached = attachSocketIO(bus, server.io, [ROUTES[2]!], { group: 'bridge' });
    await attached.ready();
    return { ...server, bus, attached };
  };
  const processes = [await open(), await open()];
  const sockets = await Promise.all(processes.map(({ url }) => opened.client(url)));
  const alerts = sockets.map((socket) => heard(socket, 'system.alert'));
  for (let n = 0; n < 50; n += 1) await processes[0]!.bus.publish('system.alert', n);
  await eventually(() => alerts.every((list) => list.length >= 50));
  const emitted = processes.map(({ attached }) => attached.stats().emitted);
  expect(emitted[0]! + emitted[1]!).toBe(50);
  for (const list of alerts) {
    expect(list.map(({ data }) => data).sort((a, b) => a - b)).toEqual([...Array(50).keys()]);
  }
  const alone = await opened.server();
  expect(() => attachSocketIO(processes[0]!.bus, alone.io, ROUTES, { group: 'g' })).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'group' }),
  );
});

test('a gap of the bus is told, and events come again after Redis was away', async () => {
  const away = await RedisServer.start();
  opened.add(() => away.stop());
  const bus = await openBus({ redis: away.url });
  const { io, url } = await opened.server();
  const attached = attachSocketIO(bus, io, ROUTES, { ...permissive, gap: 'events.missed' });
  await attached.ready();
  const socket = await opened.client(url);
  const gaps = heard(socket, 'events.missed');
  const timers = heard(socket, 'timer.executed');
  await join(socket, 'campaign:7');
  await losing(bus, ['publisher', 'subscriber'], () => away.kill());
  await away.restart();
  await eventually(() => gaps.length === 1);
  expect(gaps[0]).toMatchObject({
    from: expect.any(String),
    to: expect.any(String),
    patterns: expect.arrayContaining(['system.alert']),
  });
  await bus.waitUntilReady();
  await bus.publish('timer.executed', { campaignId: '7' });
  await eventually(() => timers.length === 1);
  expect(attached.stats()).toMatchObject({ gaps: 1 });
});

test('a subscription that fails is told, and ready rejects', async () => {
  const told: unknown[] = [];
  const bus = await openBus();
  const { io } = await opened.server();
  const attached = attachSocketIO(bus, io, [{ on: '', to: 'all', emit: 'a' }], {
    onError: (error) => told.push(error),
  });
  await expect(attached.ready()).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_PATTERN' });
  expect(told).toHaveLength(1);
  await attached.detach();
});

const route = { on: 'a', to: 'all', emit: 'a' };

test.each<[string, unknown, unknown]>([
  ['routes', {}, undefined],
  ['routes[0]', ['a'], undefined],
  ['routes[0].on', [{ ...route, on: 7 }], undefined],
  ['routes[0].to', [{ ...route, to: '' }], undefined],
  ['routes[0].to', [{ ...route, to: 'a:{data.b' }], undefined],
  ['routes[0].to', [{ ...route, to: 'a:data.b}' }], undefined],
  ['routes[0].to', [{ ...route, to: 'a:{}' }], undefined],
  ['routes[0].to', [{ ...route, to: 'a:{campaignId}' }], undefined],
  ['routes[0].to', [{ ...route, to: 'a:{type.x}' }], undefined],
  ['routes[0].to', [{ ...route, to: 'a:{data..b}' }], undefined],
  ['routes[0].emit', [{ ...route, emit: 'disconnect' }], undefined],
  ['routes[0].emit', [{ on: 'a', to: 'all' }], undefined],
  ['routes[0].volatile', [{ ...route, volatile: 1 }], undefined],
  ['routes[0].extra', [{ ...route, extra: 1 }], undefined],
  ['rooms', [route], { rooms: true }],
  ['rooms.authorize', [route], { rooms: {} }],
  ['rooms.join', [route], { rooms: { authorize: () => true, join: 'connect' } }],
  ['rooms.maxRooms', [route], { rooms: { authorize: () => true, maxRooms: 0 } }],
  ['gap', [route], { gap: '' }],
  ['group', [route], { group: 7 }],
  ['onError', [route], { onError: 1 }],
  ['other', [route], { other: 1 }],
])('%s is refused at attach', async (path, routes, options) => {
  const bus = new EventBusClient({ mode: 'memory', logLevel: 'error' });
  const { io } = await opened.server();
  expect(() => attachSocketIO(bus, io, routes as never, options as never)).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_OPTIONS', path }),
  );
  expect(bus.subscriberCount()).toBe(0);
  await bus.disconnect();
});

test('what is no bus, and no server, is refused', async () => {
  const bus = new EventBusClient({ mode: 'memory', logLevel: 'error' });
  const { io } = await opened.server();
  for (const wrong of [undefined, {}, { of: () => ({}) }, () => io]) {
    expect(() => attachSocketIO(bus, wrong as never, [])).toThrow(
      expect.objectContaining({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'io' }),
    );
  }
  expect(() => attachSocketIO({} as never, io, [])).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'bus' }),
  );
  await bus.disconnect();
});
