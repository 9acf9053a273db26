/** Hybrid mode through JavaScript: own handlers at once, Redis as well, and a Redis that is away. */

import { EventBusClient, type EventBusConfig } from '..';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

const STREAMS = [{ name: 'orders', events: 'order.*', consumerGroups: ['billing'] }];

let server: RedisServer;
let clients: EventBusClient[] = [];
let run = 0;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  run += 1;
  await Promise.all(clients.map((client) => client.disconnect({ timeout: 500 })));
  clients = [];
});

afterAll(() => server.stop());

function create(config: EventBusConfig = {}): EventBusClient {
  const own = { redis: server.url, channelPrefix: `test-${run}:`, mode: 'hybrid' as const };
  const client = new EventBusClient({ logger: keepingLogger(), ...own, ...config });
  clients.push(client);
  return client;
}

/** A client with all its links, and what its subscription to everything has heard. */
async function listener(config?: EventBusConfig) {
  const bus = create(config);
  const heard: unknown[] = [];
  await bus.subscribe('*', (event) => heard.push(event.data));
  await bus.waitUntilReady();
  return { bus, heard };
}

/** What `bus` warns of, by code. */
function warnings(bus: EventBusClient): string[] {
  const codes: string[] = [];
  bus.on('warning', ({ code }) => codes.push(code));
  return codes;
}

test('own handlers get an event once, others through Redis', async () => {
  const { bus, heard } = await listener();
  const { bus: other, heard: elsewhere } = await listener();
  expect(await bus.publish('a', 1)).toMatchObject({ local: 1, remote: 'resolved', receivers: 2 });
  // A client has its own events at once, and those of others when they come.
  await eventually(() => elsewhere.length === 1);
  expect(await other.publish('a', 2)).toMatchObject({ local: 1, remote: 'resolved' });
  // This event arrives behind both echoes.
  const plain = create({ mode: 'redis' });
  await plain.publish('a', 3);
  await eventually(() => heard.at(-1) === 3 && elsewhere.at(-1) === 3);
  expect([heard, elsewhere]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  expect([bus.getStats().mode, (await bus.healthCheck()).mode]).toEqual(['hybrid', 'hybrid']);
  expect(bus.getStats()).toMatchObject({ eventsReceived: 3, eventsDelivered: 3 });
});

test('the event that own handlers get is the one that others get', async () => {
  const got = [create(), create()].map(async (bus) => {
    const event = new Promise((resolve) => {
      void bus.subscribe('a.*', (event, ctx) => resolve([event, ctx.channel, ctx.pattern]));
    });
    await eventually(() => bus.subscriberCount() === 1 && bus.state === 'ready');
    return { bus, event };
  });
  const [own, other] = [await got[0], await got[1]];
  const options = { userId: 'u', key: 'k', metadata: { tenant: 7 } };
  await own?.bus.publish('a.b', { text: 'é' }, options);
  expect(await own?.event).toEqual(await other?.event);
});

test('handlers begin when the caller of publish has gone on, and before the server has answered', async () => {
  const { bus } = await listener();
  const order: string[] = [];
  await bus.subscribe('a', () => order.push('handler'));
  const published = bus.publish('a', 1).then(() => order.push('result'));
  order.push('published');
  await published;
  expect(order).toEqual(['published', 'handler', 'result']);
});

test('each event of a batch has its own count', async () => {
  const { bus } = await listener();
  await bus.subscribe('a', () => {}, { filter: { data: 2 } });
  await bus.subscribe('a', () => {}, { noEcho: true });
  const results = await bus.publishBatch([
    { type: 'a', data: 1 },
    { type: 'a b', data: 2 },
    { type: 'a', data: 2 },
    { type: 'b', data: 2, localOnly: true },
    { type: 'a', data: 2, redisOnly: true },
  ]);
  const told = results.map((result) =>
    result.status === 'fulfilled'
      ? [result.value.local, result.value.remote, result.value.eventId.length]
      : (result.reason as { code: string }).code,
  );
  expect(told).toEqual([
    [1, 'resolved', 36],
    'ERR_BUS_INVALID_TYPE',
    [2, 'resolved', 36],
    [1, 'skipped', 36],
    [0, 'resolved', 36],
  ]);
});

test('one side only', async () => {
  const { bus, heard } = await listener();
  const { bus: other, heard: elsewhere } = await listener();
  const mine: unknown[] = [];
  await bus.subscribe('*', (event) => mine.push(event.data), { localOnly: true });
  expect(await bus.publish('a', 1, { localOnly: true, id: 'x' })).toMatchObject({
    eventId: 'x',
    local: 2,
    remote: 'skipped',
  });
  expect(await bus.publish('a', 2, { redisOnly: true })).toMatchObject({
    local: 0,
    remote: 'resolved',
  });
  await bus.publish('a', 3);
  await other.publish('a', 4);
  await eventually(() => heard.length === 3 && elsewhere.length === 3);
  expect([heard, mine, elsewhere]).toEqual([
    [1, 3, 4],
    [1, 3],
    [2, 3, 4],
  ]);
});

test('rooms and broadcasts', async () => {
  const { bus, heard } = await listener();
  await bus.joinRoom('lobby', { member: 'ann' });
  const on = async (room: string, data: number, except?: string[]) =>
    (await bus.publishToRoom(room, 'said', data, { ...(except && { except }) })).local;
  expect([await on('lobby', 1), await on('kitchen', 2), await on('lobby', 3, ['ann'])]).toEqual([
    1, 0, 0,
  ]);
  expect(await bus.broadcast('said', 4)).toMatchObject({ local: 1, remote: 'resolved' });
  expect(heard).toEqual([1, 4]);
  expect(bus.getStats().eventsSkipped).toBe(1);
});

test('groups read Redis, live subscriptions do not wait for it', async () => {
  const { bus, heard } = await listener({ streams: STREAMS });
  const billed: unknown[] = [];
  await bus.subscribe('order.*', (event) => billed.push(event.data), { group: 'billing' });
  const result = await bus.publish('order.placed', 1);
  expect(result).toMatchObject({ local: 1, remote: 'resolved', stream: 'orders' });
  expect(await bus.publish('order.placed', 2, { redisOnly: true })).toMatchObject({ local: 0 });
  expect(await bus.publish('order.placed', 3, { localOnly: true })).toMatchObject({ local: 1 });
  await eventually(() => billed.length === 2);
  expect([heard, billed]).toEqual([
    [1, 3],
    [1, 2],
  ]);
});

test.each(['redis', 'memory'] as const)('%s has no sides', async (mode) => {
  const bus = create({ mode });
  for (const [option, call] of [
    ['localOnly', bus.publish('a', 1, { localOnly: true })],
    ['redisOnly', bus.publish('a', 1, { redisOnly: true })],
    ['localOnly', bus.subscribe('a', () => {}, { localOnly: true })],
  ] as const) {
    expect(await rejection(call)).toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
      message: expect.stringMatching(new RegExp(`^${option}: is for hybrid mode`)),
    });
  }
  const result = await bus.publish('a', 1, { localOnly: false, redisOnly: false });
  expect('remote' in result).toBe(false);
});

test.each([
  ['both', { localOnly: true, redisOnly: true }, 'redisOnly'],
  ['a stream', { localOnly: true, stream: 'orders' }, 'stream'],
  ['no flag', { localOnly: 'yes' as never }, 'localOnly'],
])('options that do not go together: %s', async (_, options, path) => {
  const { bus, heard } = await listener({ streams: STREAMS });
  expect(await rejection(bus.publish('a', 1, options))).toMatchObject({
    code: 'ERR_BUS_INVALID_OPTIONS',
    message: expect.stringMatching(new RegExp(`^${path}: `)),
    outcome: 'not_sent',
  });
  expect(heard).toEqual([]);
});

describe('without Redis', () => {
  let away: RedisServer;

  beforeAll(async () => {
    away = await RedisServer.start();
    await away.kill();
  });

  afterAll(() => away.stop());

  test('a service starts, works by itself, and joins when Redis is there', async () => {
    const redis = { url: away.url, commandTimeout: 3000 };
    const bus = create({ redis, streams: STREAMS, performance: { maxRetries: 3 } });
    const codes = warnings(bus);
    const heard: unknown[] = [];
    await bus.connect();
    await bus.subscribe('*', (event) => heard.push(event.data));
    expect(await bus.joinRoom('lobby')).toBe(true);
    const started = performance.now();
    for (let n = 0; n < 50; n += 1) {
      expect(await bus.publish('a', n)).toMatchObject({ local: 1, remote: 'not_sent' });
    }
    // Not one of the fifty has waited for the server.
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(await bus.publishToRoom('lobby', 'said', 50)).toMatchObject({ local: 1 });
    const error = await rejection(bus.publish('order.placed', 51));
    expect(error).toMatchObject({ code: 'ERR_BUS_PUBLISH_TIMEOUT', outcome: 'not_sent' });
    // Handlers get it once, although a publish that was not sent may be tried again.
    expect(heard).toEqual(Array.from({ length: 52 }, (_, n) => n));
    expect([bus.getStats().mode, codes]).toEqual(['local-only', ['LOCAL_ONLY']]);
    expect(await bus.healthCheck()).toMatchObject({ status: 'degraded', mode: 'local-only' });

    await away.restart();
    await eventually(() => bus.getStats().mode === 'hybrid');
    const other = create({ redis: away.url });
    const elsewhere: unknown[] = [];
    await other.subscribe('*', (event) => elsewhere.push(event.data));
    await other.waitUntilReady();
    expect(await bus.publish('a', 'back')).toMatchObject({ local: 1, remote: 'resolved' });
    await eventually(() => elsewhere.length === 1);
    expect(elsewhere).toEqual(['back']);
    await eventually(async () => (await other.getRoomMembers('lobby')).length === 1);
    await eventually(() => codes.length === 2);
    expect(codes).toEqual(['LOCAL_ONLY', 'HYBRID_RESTORED']);
    await away.kill();
  });

  test('an aborted publish is told so, and was handled here', async () => {
    const bus = create({ redis: away.url, streams: STREAMS });
    const controller = new AbortController();
    await bus.subscribe('order.*', () => controller.abort());
    const { signal } = controller;
    expect(await rejection(bus.publish('order.placed', 1, { signal }))).toMatchObject({
      code: 'ERR_BUS_ABORTED',
      outcome: 'not_sent',
    });
  });

  test('a wrong address keeps nobody from closing', async () => {
    const bus = create({ redis: away.url });
    const heard: unknown[] = [];
    await bus.subscribe('*', (event) => heard.push(event.data));
    const publishes = [bus.publish('a', 1), bus.publish('a', 2)];
    await bus.disconnect();
    for (const publish of publishes) {
      expect(await publish).toMatchObject({ remote: 'not_sent' });
    }
    expect(await rejection(bus.publish('a', 3))).toMatchObject({ code: 'ERR_BUS_CLOSED' });
  });
});
