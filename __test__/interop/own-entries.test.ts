/** Entries, keys and dead letters of a format that a user describes, beside an old bus on ioredis that has it. */

import {
  type BusEvent,
  type EventBusClient,
  type EventBusConfig,
  NonRetryableError,
  type WireMapping,
} from '../..';
import { eventually } from '../support/eventually';
import { Service } from '../support/services';
import { awkwardPayloads } from './awkward-payloads';
import { beside } from './beside';
import { bury, ShopConsumer, type ShopEvent, store } from './old/shop';

const { client, ioredis, closing } = beside();

const STREAM = 'orders';
const LIST = 'dlq:orders';
const GROUP = 'shared';
const FOREVER = 60_000;

const wire: WireMapping = {
  fields: {
    write: {
      'head.uid': 'id',
      'head.kind': 'type',
      ts: 'timestampMs',
      payload: 'data',
      more: 'metadata',
    },
  },
  stream: { write: { type: 'type', event: 'message' } },
  deadLetters: { list: 'dlq:{stream}', maxLength: 50 },
};

const streams = [{ name: STREAM, events: '*', realtime: false }];
const ours = (more: EventBusConfig = {}) => client({ wire, streams, ...more });

async function theirs(
  handler: (event: ShopEvent, messageId: string) => unknown,
  minIdle = FOREVER,
): Promise<ShopConsumer> {
  const config = { stream: STREAM, group: GROUP, consumer: 'old', minIdle };
  const consumer = new ShopConsumer(ioredis(), config, handler);
  closing(() => consumer.stop());
  await consumer.start();
  return consumer;
}

const settled = async () => ((await ioredis().xpending(STREAM, GROUP)) as [number])[0] === 0;

test.each(awkwardPayloads)('entries both ways: %s', async (_, payload) => {
  const bus = await ours();
  const heard: ShopEvent[] = [];
  const consumer = await theirs((event) => void heard.push(event));
  await bus.publish('order.placed', payload, { id: 'e1', key: 'k' });
  await eventually(() => heard.length === 1);
  expect(heard).toEqual([{ id: 'e1', type: 'order.placed', payload }]);
  const [, fields] = (await ioredis().xrange(STREAM, '-', '+'))[0] as [string, string[]];
  expect(fields.filter((_field, at) => at % 2 === 0).sort()).toEqual(['event', 'type']);
  await consumer.stop();

  const received: BusEvent[] = [];
  await bus.subscribe('*', (event) => void received.push(event), { group: GROUP });
  await store(ioredis(), STREAM, 'order.placed', payload, 'f1');
  await bus.publish('order.paid', payload, { id: 'e2', key: 'k' });
  await eventually(() => received.length === 2);
  expect(received.map(({ id, data }) => [id, data])).toEqual([
    ['f1', payload],
    ['e2', payload],
  ]);
  expect(received[1]?.metadata).toMatchObject({ key: 'k', correlationId: 'e2' });
  const past = (await bus.getHistory({ type: '*' })).map(({ id }) => id);
  expect(past).toEqual(['e1', 'f1', 'e2']);
  expect(bus.getStats().eventsDeadLettered).toBe(0);
});

test('a pattern that is new to a group takes up entries whose type stands in a message', async () => {
  const config = { ...wire, stream: { write: { event: 'message' } } };
  const bus = await client({ wire: config, streams });
  const heard: string[] = [];
  const hear = ({ id }: BusEvent) => void heard.push(id);
  await bus.subscribe('a', hear, { group: GROUP });
  await bus.publish('b', 1, { id: 'b1' });
  await bus.publish('a', 1, { id: 'a1' });
  await eventually(async () => heard.length === 1 && (await settled()));
  await bus.subscribe('b', hear, { group: GROUP });
  await eventually(() => heard.length === 2);
  expect(heard).toEqual(['a1', 'b1']);
  expect(bus.getStats().eventsLost).toBe(0);
});

describe('dead letters in a list', () => {
  const failing = async (bus: EventBusClient) => {
    const fail = () => {
      throw new NonRetryableError('no');
    };
    return bus.subscribe('*', fail, { group: GROUP });
  };

  test('the old service takes ours from the list, and ours are listed, replayed and removed', async () => {
    const bus = await ours();
    const subscription = await failing(bus);
    for (const n of [0, 1, 2]) await bus.publish('order.placed', { n }, { id: `e${n}` });
    await eventually(async () => (await ioredis().llen(LIST)) === 3);
    await eventually(settled);
    const oldest = JSON.parse((await ioredis().rpop(LIST)) ?? '');
    expect(oldest).toMatchObject({
      originalMessage: { head: { uid: 'e0', kind: 'order.placed' }, payload: { n: 0 } },
      error: { message: 'no' },
      retryCount: 0,
    });
    const letters = await bus.deadLetters.list({ stream: STREAM });
    expect(letters.map(({ event, group, attempts }) => [event?.id, group, attempts])).toEqual(
      expect.arrayContaining([
        ['e1', GROUP, 1],
        ['e2', GROUP, 1],
      ]),
    );
    expect(await bus.deadLetters.count(STREAM)).toBe(2);
    const idOf = (id: string) => letters.find(({ event }) => event?.id === id)?.id ?? '';
    expect(await bus.deadLetters.get(idOf('e1'))).toEqual(
      letters.find(({ id }) => id === idOf('e1')),
    );
    await subscription.unsubscribe({ wait: true });
    const heard: string[] = [];
    await bus.subscribe('*', ({ id }) => void heard.push(id), { group: GROUP });
    expect(await bus.deadLetters.replay(idOf('e1'))).toMatchObject({
      messageId: expect.any(String),
    });
    await eventually(() => heard.length === 1);
    expect(await bus.deadLetters.remove(idOf('e2'))).toBe(true);
    expect([heard, await ioredis().llen(LIST)]).toEqual([['e1'], 0]);
  });

  test('what the old service gave up is listed, and goes back to the stream', async () => {
    const bus = await ours();
    const heard: string[] = [];
    await bus.subscribe('*', ({ id }) => void heard.push(id), { group: GROUP });
    const message = { head: { uid: 'f1', kind: 'order.placed' }, ts: 0, payload: { n: 1 } };
    await bury(ioredis(), STREAM, message, new Error('theirs'));
    const [letter] = await bus.deadLetters.list({ stream: STREAM });
    expect(letter).toMatchObject({
      stream: STREAM,
      group: '',
      attempts: 1,
      error: { message: 'theirs' },
      event: { id: 'f1', type: 'order.placed', data: { n: 1 } },
    });
    await bus.deadLetters.replay(letter?.id ?? '', { to: 'stream' });
    await eventually(() => heard.length === 1);
    expect([heard, await ioredis().llen(LIST)]).toEqual([['f1'], 0]);
    await bury(ioredis(), STREAM, message, new Error('theirs'));
    expect(await bus.deadLetters.purge(STREAM)).toBe(1);
  });

  test('the list has its bound, and what goes is counted and told once', async () => {
    const warnings: string[] = [];
    const bus = await ours({ deadLetter: { maxLength: 5 } });
    bus.on('warning', ({ code }) => void warnings.push(code));
    await failing(bus);
    for (let n = 0; n < 12; n += 1) await bus.publish('a', n, { id: `e${n}` });
    await eventually(() => bus.getStats().eventsDeadLettered === 12);
    await eventually(() => bus.getStats().deadLettersDropped === 7);
    const kept = (await ioredis().lrange(LIST, 0, -1)).map(
      (text) => JSON.parse(text).originalMessage.payload,
    );
    expect(kept).toEqual([11, 10, 9, 8, 7]);
    expect(warnings).toEqual(['DEAD_LETTERS_DROPPED']);
  });
});

test('streams and kept events have the keys that are named', async () => {
  const keys = { stream: 'app:{stream}', event: '{prefix}kept:{id}', history: '{prefix}all' };
  const config = { wire: { ...wire, keys }, channelPrefix: 'p:', persistence: {} };
  const bus = await ours(config);
  const heard: (string | undefined)[] = [];
  const hear = ({ type }: BusEvent, { stream }: { stream?: string }) => {
    if (type === 'broken') throw new NonRetryableError('no');
    heard.push(stream);
  };
  await bus.subscribe('*', hear, { group: GROUP, streams: [STREAM] });
  const { stream } = await bus.publish('a', { n: 1 }, { id: 'e1', stream: STREAM });
  await eventually(() => heard.length === 1);
  expect([stream, heard]).toEqual(['app:orders', ['app:orders']]);
  expect(JSON.parse((await ioredis().get('p:kept:e1')) ?? '')).toMatchObject({ payload: { n: 1 } });
  expect(await ioredis().xlen('p:all')).toBe(1);
  expect(await bus.getEvent('e1')).toMatchObject({ id: 'e1', data: { n: 1 } });
  for (const name of [STREAM, 'app:orders']) {
    expect(await bus.streams.info(name)).toMatchObject({ name: 'app:orders', length: 1 });
  }
  expect(await ioredis().exists(STREAM)).toBe(0);
  // Dead letters are named after the key.
  await bus.publish('broken', {}, { stream: STREAM });
  await eventually(async () => (await ioredis().llen('dlq:app:orders')) === 1);
});

test('campaign has copies of dead letters in its list', async () => {
  const bus = await client({ wire: 'campaign', streams });
  const fail = () => {
    throw new NonRetryableError('no');
  };
  await bus.subscribe('*', fail, { group: GROUP });
  await bus.publish('campaign.created', { campaignId: '7' }, { id: 'e1' });
  await eventually(async () => (await ioredis().llen(LIST)) === 1);
  expect(await ioredis().xlen('orders:dlq')).toBe(1);
  expect(JSON.parse((await ioredis().lindex(LIST, 0)) ?? '')).toMatchObject({
    originalMessage: {
      metadata: { eventId: 'e1', eventType: 'campaign.created' },
      data: { campaignId: '7' },
    },
    error: { message: 'no', timestamp: expect.any(String) },
    retryCount: 0,
  });
  expect(await bus.deadLetters.count(STREAM)).toBe(1);
});

const OURS = `
  const bus = new oxbus.EventBusClient({
    redis: args.url, wire: args.wire, streams: args.streams, logLevel: 'error', lease: 1000, foreignLease: 2500,
  });
  bus.on('error', () => {});
  await bus.subscribe('*', async ({ data }, { messageId }) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (data.broken) throw new oxbus.NonRetryableError('built to fail');
    note('handled', { messageId });
  }, { group: args.group, consumer: args.consumer, concurrency: 4 });
  note('ready');`;

const THEIRS = `
  const { Redis } = require(args.ioredis);
  const { ShopConsumer } = require(args.shop);
  const config = { stream: args.stream, group: args.group, consumer: args.consumer, minIdle: 2500 };
  const old = new ShopConsumer(new Redis(args.url), config, async ({ payload }, messageId) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (payload.broken) throw new Error('built to fail');
    note('handled', { messageId });
  });
  await old.start();
  note('ready');
  for (;;) {
    await old.takeUp();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }`;

test('a process of each is killed: all is handled or a dead letter in the list', async () => {
  const bus = await ours();
  const redis = ioredis();
  await redis.xgroup('CREATE', STREAM, GROUP, '0', 'MKSTREAM');
  const args = {
    ...{
      url: `redis://127.0.0.1:${redis.options.port}`,
      wire,
      streams,
      stream: STREAM,
      group: GROUP,
    },
    ...{ ioredis: require.resolve('ioredis'), shop: require.resolve('./old/shop.js') },
  };
  const services: Service[] = [];
  const start = async (code: string, consumer: string) => {
    const service = new Service(code, { ...args, consumer });
    services.push(service);
    closing(() => service.signal('SIGKILL'));
    await service.first('ready', 20_000);
    return service;
  };
  const stored: { id: string; broken: boolean }[] = [];
  const load = async (count: number) => {
    for (let n = 0; n < count; n += 1) {
      const broken = stored.length % 20 === 0;
      const byUs = async () => (await bus.publish('a', { n, broken })).messageId ?? '';
      const id = await (n % 2 === 0 ? byUs() : store(redis, STREAM, 'a', { n, broken }));
      stored.push({ id, broken });
    }
  };
  const isAtWork = (consumer: string) => async () =>
    ((await redis.xpending(STREAM, GROUP, '-', '+', 1, consumer)) as unknown[]).length > 0;
  const [own, old] = await Promise.all([start(OURS, 'own-1'), start(THEIRS, 'old-1')]);
  await load(120);
  await eventually(isAtWork('own-1'));
  own.signal('SIGKILL');
  await own.ended;
  await start(OURS, 'own-2');
  await load(120);
  await eventually(isAtWork('old-1'));
  old.signal('SIGKILL');
  await old.ended;
  await start(THEIRS, 'old-2');
  await load(60);
  await eventually(async () => {
    const [[, , , , , pending, , delivered]] = (await redis.xinfo('GROUPS', STREAM)) as [unknown[]];
    expect([pending, delivered]).toEqual([0, stored.at(-1)?.id]);
  }, 30_000);
  const notes = services.flatMap((service) => service.notes('handled'));
  const handled = new Set(notes.map(({ messageId }) => messageId));
  const wanted = stored.filter(({ broken }) => !broken).map(({ id }) => id);
  expect([...handled].sort()).toEqual([...wanted].sort());
  const letters = (await redis.lrange(LIST, 0, -1)).map((text) => JSON.parse(text));
  // Whoever was killed between the letter and the acknowledgement has had it written twice: only the old bus can.
  expect(letters.length).toBeGreaterThanOrEqual(stored.length - wanted.length);
  const ids = new Set(letters.map(({ originalMessage }) => originalMessage.head.uid));
  expect(ids.size).toBe(stored.length - wanted.length);
  expect(letters.some(({ oxbus }) => oxbus)).toBe(true);
}, 60_000);
