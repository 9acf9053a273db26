/** Hubs of one fleet, which share a Redis, and a hub whose bus is in hybrid mode. */

import { type BusEvent, EventBusClient, type EventBusConfig } from '..';
import { createHub } from '../socket.io';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { Opened, trusting } from './support/socket-io';
import { keepingLogger } from './support/transports';

let redis: RedisServer;
const opened = new Opened();
const hubClient = opened.hubClient.bind(opened);

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterEach(() => opened.close());
afterAll(() => redis.stop());

async function openHub(config: EventBusConfig, server: { redis?: string } = {}) {
  const bus = new EventBusClient({ logger: keepingLogger(), ...config });
  opened.add(() => bus.disconnect({ timeout: 500 }));
  await bus.connect();
  const running = await opened.server(server);
  const hub = createHub(running.io, bus, trusting);
  opened.add(() => hub.close());
  return { ...running, bus, hub };
}

const COUNT = 300;
const numbers = [...Array(COUNT).keys()];

describe.each([
  ['redis', false],
  ['redis', true],
  ['hybrid', false],
  ['hybrid', true],
] as const)('two hubs in mode %s, with an adapter: %s', (mode, adapter) => {
  test('each client hears each event once, in the order in which its publisher has sent it', async () => {
    const where = { mode, redis: redis.url, channelPrefix: `${mode}-${adapter}:` };
    const open = () => openHub(where, adapter ? { redis: redis.url } : {});
    const hubs = [await open(), await open()];
    await Promise.all(hubs.map(({ bus }) => bus.waitUntilReady()));
    const heard: [by: string, n: number][][] = [];
    const take = () => {
      const list: (typeof heard)[number] = [];
      heard.push(list);
      return ({ data }: BusEvent) => void list.push(data as [string, number]);
    };
    const clients = hubs.flatMap(({ url }) => [hubClient(url), hubClient(url)]);
    for (const client of clients) await client.subscribe('count.*', take());
    for (const { bus } of hubs) await bus.subscribe('count.one', take());
    const [ann, bob] = [clients[0]!, clients[3]!];
    await Promise.all(
      numbers.flatMap((n) => [
        ann.publish('count.one', ['ann', n]),
        bob.publish('count.one', ['bob', n]),
      ]),
    );
    await eventually(() => heard.every((list) => list.length >= 2 * COUNT));
    for (const list of heard) {
      const of = (name: string) => list.filter(([by]) => by === name).map(([, n]) => n);
      expect([of('ann'), of('bob')]).toEqual([numbers, numbers]);
    }
    for (const { hub } of hubs) {
      expect(hub.stats()).toMatchObject({ eventsSent: 4 * COUNT, published: COUNT });
    }
  });

  test('an event of a room goes to those of its members that are at either hub, once', async () => {
    const where = { mode, redis: redis.url, channelPrefix: `room-${mode}-${adapter}:` };
    const open = () => openHub(where, adapter ? { redis: redis.url } : {});
    const hubs = [await open(), await open()];
    await Promise.all(hubs.map(({ bus }) => bus.waitUntilReady()));
    const clients = hubs.flatMap(({ url }) => [hubClient(url), hubClient(url)]);
    const heard = clients.map(() => [] as unknown[]);
    for (const [at, client] of clients.entries()) {
      await client.subscribe('said', ({ data }) => void heard[at]!.push(data));
      if (at % 2 === 0) await client.joinRoom('lobby');
    }
    expect(await clients[1]!.getRoomMembers('lobby')).toHaveLength(2);
    await clients[1]!.publishToRoom('lobby', 'said', 1);
    await clients[2]!.broadcast('said', 2);
    await eventually(() => heard.every((list) => list.includes(2)));
    expect(heard).toEqual([[1, 2], [2], [1, 2], [2]]);
  });
});

test('in hybrid mode services of one hub hear each other while Redis is away', async () => {
  const { url, hub } = await openHub({ mode: 'hybrid', redis: 'redis://127.0.0.1:1' });
  const [one, two] = [hubClient(url), hubClient(url)];
  const events: unknown[] = [];
  await two.subscribe('a', ({ data }) => void events.push(data));
  expect(await one.publish('a', 1)).toMatchObject({ local: 1, remote: 'not_sent' });
  await eventually(() => events.length === 1);
  expect(hub.stats()).toMatchObject({ eventsSent: 1, published: 1 });
});

test('in mode redis nobody hears what a publisher is told has failed', async () => {
  const away = await RedisServer.start();
  opened.add(() => away.stop());
  const { url, hub } = await openHub({ redis: away.url });
  const [one, two] = [hubClient(url), hubClient(url)];
  const events: unknown[] = [];
  await two.subscribe('a', ({ data }) => void events.push(data));
  await away.kill();
  await eventually(async () => (await two.healthCheck()).status === 'degraded');
  const failed = await rejection(one.publish('a', 1, { timeout: 200 }));
  expect(failed).toMatchObject({ code: 'ERR_BUS_PUBLISH_TIMEOUT' });
  expect([events, hub.stats().eventsSent]).toEqual([[], 0]);
});

test.each(['memory', 'hybrid'] as const)(
  'in mode %s nobody hears what the bus refuses',
  async (mode) => {
    const where =
      mode === 'memory' ? { memory: 'refusing' } : { redis: redis.url, channelPrefix: 'refusing:' };
    const { url, hub } = await openHub({ mode, ...where, validation: { maxDataBytes: 100 } });
    const [one, two] = [hubClient(url), hubClient(url)];
    const events: unknown[] = [];
    await two.subscribe('a.*', ({ data }) => void events.push(data));
    const long = await rejection(one.publish('a.b', 'x'.repeat(200)));
    expect(long).toMatchObject({ outcome: 'not_sent' });
    expect(await rejection(one.publish('a.b', 1, { key: '' } as never))).toMatchObject({
      outcome: 'not_sent',
    });
    await one.publish('a.b', 2);
    await eventually(() => events.length === 1);
    expect([events, hub.stats().published]).toEqual([[2], 1]);
  },
);
