/** A Redis Cluster of three masters, as seen from JavaScript. */

import {
  type ClusterConfig,
  type DeadLetterNotice,
  EventBusClient,
  type EventBusConfig,
  type RedisConfig,
} from '..';
import { ClusterSet, nodePort } from './support/cluster-set';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';

/** Streams in slots of different masters. */
const STREAMS = [
  { name: 'orders', events: 'order.*' },
  { name: 'payments', events: 'payment.*' },
  { name: 'users', events: 'user.*' },
];
const TYPES = ['order.placed', 'payment.made', 'user.joined'];

let set: ClusterSet;
let clients: EventBusClient[] = [];

beforeAll(async () => {
  const user = ['--user', 'bus', 'on', '>secret', '~*', '&*', '+@all'];
  set = await ClusterSet.start({ replicas: 1, args: () => user });
}, 60_000);

afterEach(async () => {
  await Promise.all(clients.map((client) => client.disconnect({ timeout: 500 })));
  clients = [];
});

afterAll(() => set.stop());

function create(cluster: Partial<ClusterConfig> = {}, more: EventBusConfig = {}): EventBusClient {
  const redis: RedisConfig = {
    ...{ username: 'bus', password: 'secret' },
    ...{ cluster: { nodes: set.addresses.slice(0, 1), ...cluster } },
  };
  const client = new EventBusClient({
    ...{ serviceName: 'tests', logger: false, redis, streams: STREAMS },
    ...more,
  });
  clients.push(client);
  return client;
}

async function open(cluster?: Partial<ClusterConfig>, more?: EventBusConfig) {
  const client = create(cluster, more);
  await client.connect();
  return client;
}

test('the streams of these tests are on three masters', async () => {
  const masters = await Promise.all(STREAMS.map(({ name }) => set.masterOf(name)));
  expect(new Set(masters).size).toBe(3);
});

test('a client hears by pattern what another one publishes', async () => {
  const [bus, other] = [await open(), await open()];
  const heard: unknown[] = [];
  await bus.subscribe('photo.*', ({ type, data }) => heard.push([type, data]));
  for (let n = 0; n < 10; n += 1) await other.publish(`photo.${n % 3}`, n);
  await other.publish('video.1', 'not asked for');
  await eventually(() => heard.length === 10);
  expect(heard).toEqual(Array.from({ length: 10 }, (_, n) => [`photo.${n % 3}`, n]));
});

test('rooms are heard by their members, and their members are known', async () => {
  const [bus, other] = [await open(), await open()];
  const [heard, elsewhere]: [unknown[], unknown[]] = [[], []];
  await bus.subscribe('said', ({ data }) => heard.push(data));
  await other.subscribe('said', ({ data }) => elsewhere.push(data));
  await bus.joinRoom('kitchen', { member: 'ann' });
  await other.publishToRoom('kitchen', 'said', 1);
  await eventually(() => heard.length === 1);
  expect([heard, elsewhere]).toEqual([[1], []]);
  expect(await other.getRoomMembers('kitchen')).toEqual(['ann']);
});

test('a group handles the events of streams on three masters, each stream in order', async () => {
  const [bus, publisher] = [await open(), await open()];
  const handled: [string, number][] = [];
  for (const type of TYPES) {
    const pattern = type.replace(/\..*/, '.*');
    await bus.subscribe(pattern, ({ type, data }) => handled.push([type, data]), {
      group: 'in-order',
    });
  }
  const count = 300;
  const publishing = Array.from({ length: count }, (_, n) =>
    publisher.publish(TYPES[n % 3] as string, n),
  );
  await Promise.all(publishing);
  await eventually(() => handled.length === count);
  for (const [at, type] of TYPES.entries()) {
    const own = handled.filter(([of]) => of === type).map(([, n]) => n);
    expect(own).toEqual(Array.from({ length: count / 3 }, (_, n) => n * 3 + at));
  }
  for (const { name } of STREAMS) {
    const master = await set.masterOf(name);
    expect(await set.ask(master, 'EXISTS', name)).toBe(1);
    const info = await bus.streams.info(name);
    expect(info.groups.find((group) => group.name === 'in-order')).toMatchObject({ pending: 0 });
  }
  const names = (await bus.streams.list()).map(({ name }) => name);
  expect(names).toEqual(STREAMS.map(({ name }) => name));
});

test('dead letters of all masters are listed, and replayed to their group', async () => {
  const bus = await open();
  const notices: DeadLetterNotice[] = [];
  bus.on('deadLetter', (notice) => notices.push(notice));
  let works = false;
  const handled: unknown[] = [];
  for (const { events } of STREAMS) {
    const handler = ({ data }: { data: unknown }) => {
      if (!works) throw new Error('not yet');
      handled.push(data);
    };
    await bus.subscribe(events, handler, { group: 'failing', maxRetries: 0 });
  }
  for (const type of TYPES) await bus.publish(type, type);
  await eventually(() => notices.length === TYPES.length);
  const letters = await bus.deadLetters.list();
  expect(letters.map(({ event }) => event?.type).sort()).toEqual([...TYPES].sort());
  expect(await bus.deadLetters.count()).toBe(3);
  works = true;
  for (const { id } of letters) await bus.deadLetters.replay(id);
  await eventually(() => handled.length === TYPES.length);
  expect([...handled].sort()).toEqual([...TYPES].sort());
  expect(await bus.deadLetters.count()).toBe(0);
});

test('with sharded pub/sub live events go over lanes, and a client that differs is refused', async () => {
  const lanes = { pubsub: 'sharded', lanes: 8 } as const;
  const prefix = { channelPrefix: 'lanes:' };
  const { redis: server } = await (await open()).healthCheck();
  if (server?.version?.startsWith('6.')) {
    const error = await rejection(create(lanes, prefix).connect());
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_CONFIG', path: 'redis.cluster.pubsub' });
    return;
  }
  const [bus, other] = [await open(lanes, prefix), await open(lanes, prefix)];
  const heard = new Map<string, unknown[]>();
  await bus.subscribe(['photo.*', 'order.*'], ({ type, data }) => {
    heard.set(type, [...(heard.get(type) ?? []), data]);
  });
  const inRoom: unknown[] = [];
  await bus.subscribe('said', ({ data }) => inRoom.push(data));
  await bus.joinRoom('kitchen');
  const types = ['photo.0', 'photo.1', 'photo.2', 'order.placed'];
  for (let n = 0; n < 20; n += 1) {
    const { receivers, stream } = await other.publish(types[n % 4] as string, n);
    expect([receivers, stream]).toEqual([1, n % 4 === 3 ? 'orders' : undefined]);
  }
  await other.publishToRoom('kitchen', 'said', 'hello');
  await eventually(() => [...heard.values()].flat().length === 20 && inRoom.length === 1);
  for (const [at, type] of types.entries()) {
    expect(heard.get(type)).toEqual([0, 1, 2, 3, 4].map((n) => n * 4 + at));
  }
  const { redis } = await bus.healthCheck();
  expect(redis?.cluster?.lanes).toEqual({ count: 8, wanted: 8, missing: [] });
  const error = await rejection(create({}, prefix).connect());
  expect(error).toMatchObject({ code: 'ERR_BUS_CLUSTER_MODE' });
});

test('the health report has an entry for each node', async () => {
  const bus = await open();
  const { status, redis } = await eventually(async () => {
    const report = await bus.healthCheck();
    // Nodes call a replica "loading" until they have heard from it that it has received something.
    expect(report.warnings.filter(({ code }) => code.startsWith('CLUSTER_'))).toEqual([]);
    return report;
  }, 30_000);
  expect(status).toBe('healthy');
  const { nodes, uncoveredSlots } = redis?.cluster ?? { nodes: [], uncoveredSlots: null };
  expect(uncoveredSlots).toBe(0);
  expect(new Set(nodes.map(({ address }) => address))).toEqual(new Set(set.addresses));
  expect(nodes.every(({ healthy }) => healthy)).toBe(true);
  const masters = nodes.filter(({ role }) => role === 'master');
  expect(masters.map(({ slots }) => slots).reduce((sum, slots) => sum + slots)).toBe(16_384);
  expect([masters.length, nodes.length]).toEqual([3, 6]);
}, 40_000);

test('a wrong password is AUTH_FAILED at once', async () => {
  const redis: RedisConfig = {
    ...{ username: 'bus', password: 'hunter2' },
    cluster: { nodes: set.addresses },
  };
  const bus = create({}, { redis });
  const error = await rejection(bus.connect());
  expect(error).toMatchObject({ code: 'ERR_BUS_AUTH_FAILED' });
  expect(error.message).not.toContain('hunter2');
});

test('a server that is in no cluster is named, with what to do', async () => {
  const alone = await RedisServer.start();
  try {
    const nodes = [`127.0.0.1:${alone.port}`];
    const bus = create({}, { redis: { cluster: { nodes } } });
    const error = await rejection(bus.connect());
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_CONFIG' });
    expect(error.message).toContain(
      `${nodes[0]}: redis.cluster: this server does not run in cluster mode: give its address as 'url'`,
    );
  } finally {
    await alone.stop();
  }
});

test('what a cluster cannot have is INVALID_CONFIG', () => {
  const config = (redis: object, more: object = {}) => {
    const all = { cluster: { nodes: ['a'] }, ...redis } as RedisConfig;
    return () => new EventBusClient({ logger: false, redis: all, ...more });
  };
  const invalid = (path: string) =>
    expect.objectContaining({
      code: 'ERR_BUS_INVALID_CONFIG',
      message: expect.stringContaining(path),
    });
  const stream = (name: string) => ({ streams: [{ name, events: 'x' }] });
  expect(config({}, stream('a}b'))).toThrow(invalid('streams'));
  expect(config({}, stream('{a}b'))).not.toThrow();
  expect(config({ cluster: { nodes: [] } })).toThrow(invalid('redis.cluster.nodes'));
  expect(config({ database: 1 })).toThrow(invalid('redis.database'));
  expect(config({ url: 'redis://h' })).toThrow(invalid('redis.url'));
  expect(config({ cluster: { nodes: ['a'], adressMap: {} } })).toThrow(
    invalid("did you mean 'addressMap'"),
  );
});

/** Publishes to a stream on each master, and handles that, by a client of this configuration. */
async function use(redis: RedisConfig): Promise<EventBusClient> {
  const bus = await open({}, { redis });
  const handled: unknown[] = [];
  for (const { events } of STREAMS) {
    await bus.subscribe(events, ({ data }) => handled.push(data), { group: 'all' });
  }
  for (const type of TYPES) await bus.publish(type, type);
  await eventually(() => handled.length === 3);
  expect(handled.sort()).toEqual([...TYPES].sort());
  return bus;
}

test('nodes that announce what cannot be reached are reached by the address map', async () => {
  // The announced port of each node is one on which nothing listens.
  const announced = await Promise.all(Array.from({ length: 3 }, nodePort));
  const mapped = await ClusterSet.start({
    args: (at, port) => {
      const bus = ['--cluster-announce-bus-port', String(port + 10_000)];
      return ['--cluster-announce-port', String(announced[at]), ...bus];
    },
    told: (at) => announced[at] as number,
  });
  try {
    const nodes = mapped.addresses;
    const without = create({}, { redis: { cluster: { nodes }, connectTimeout: 1000 } });
    await rejection(without.publish('order.placed', 1, { timeout: 1000 }));
    const addressMap = Object.fromEntries(
      announced.map((port, at) => [`127.0.0.1:${port}`, nodes[at] as string]),
    );
    const bus = await use({ cluster: { nodes: nodes.slice(1, 2), addressMap } });
    const { status } = await bus.healthCheck();
    expect(status).toBe('healthy');
  } finally {
    await Promise.all(clients.splice(0).map((client) => client.disconnect({ timeout: 500 })));
    await mapped.stop();
  }
}, 60_000);

test('a master dies: its replica takes over, and nothing that was published again is missing', async () => {
  const [bus, publisher] = [await open(), await open({ nodes: set.addresses })];
  const handled = new Set<unknown>();
  for (const { events } of STREAMS) {
    await bus.subscribe(events, ({ data }) => handled.add(data), { group: 'surviving' });
  }
  const live: unknown[] = [];
  await bus.subscribe('live', ({ data }) => live.push(data));
  for (const type of TYPES) await publisher.publish(type, `before ${type}`, { replicas: 1 });
  await eventually(() => handled.size === 3);

  const dying = await set.masterOf('payments');
  await set.kill(dying);
  await eventually(async () => {
    const health = await bus.healthCheck();
    const codes = health.warnings.map(({ code }) => code);
    expect(codes).toContain('CLUSTER_NODE_FAILING');
  }, 30_000);
  for (const type of TYPES) {
    await eventually(() => publisher.publish(type, `after ${type}`), 30_000);
  }
  await eventually(() => handled.size === 6);
  expect(await set.masterOf('payments')).not.toBe(dying);
  // A client whose own node has died hears from another one by then.
  await eventually(async () => {
    await publisher.publish('live', 1);
    return live.length > 0;
  });
  const { redis } = await bus.healthCheck();
  const { nodes, uncoveredSlots } = redis?.cluster ?? { nodes: [], uncoveredSlots: null };
  expect(uncoveredSlots).toBe(0);
  const address = `127.0.0.1:${dying.port}`;
  // Servers before 7 do not tell of nodes that have failed.
  expect(nodes.find((node) => node.address === address)?.healthy ?? false).toBe(false);
  expect(nodes.filter(({ role, slots }) => role === 'master' && slots > 0)).toHaveLength(3);
}, 90_000);
