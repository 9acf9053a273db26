/** Live subscriptions of the wire `eventsource`, which publishes nothing live: they hear what streams get. */

import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import { type BusEvent, EventBusClient, type EventBusConfig, type StreamConfig } from '../..';
import { eventually } from '../support/eventually';
import { keepingLogger } from '../support/transports';
import { wireServers } from '../support/wire-servers';

const streams: StreamConfig[] = [
  { name: 'orders:stream', events: 'Order*' },
  { name: 'stock:stream', events: ['Stock*', 'Quiet'], realtime: ['Stock*'] },
  { name: 'other:stream', events: '*' },
];

/** What the library stores for a domain event. */
function fieldsOf(type: string, id: string, data: object): string[] {
  const event = { event_id: id, event_type: type, aggregate_id: randomUUID(), ...data };
  const payload = JSON.stringify(event);
  return ['event_id', id, 'event_type', type, 'payload', payload];
}

const streamOf = (type: string) =>
  type.startsWith('Order')
    ? 'orders:stream'
    : /^Stock|^Quiet$/.test(type)
      ? 'stock:stream'
      : 'other:stream';

describe.each(wireServers)('on %s', (_, make) => {
  const servers = make();
  const closing: (() => unknown)[] = [];
  let redis: Redis | Cluster;

  beforeAll(async () => {
    await servers.start();
    redis = servers.commands();
  }, 60_000);

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await servers.empty();
  });

  afterAll(async () => {
    redis.disconnect();
    await servers.stop();
  });

  async function client(config: EventBusConfig = {}): Promise<EventBusClient> {
    const own = { redis: servers.redis, logger: keepingLogger(), wire: 'eventsource', streams };
    const bus = new EventBusClient({ ...own, ...config } as EventBusConfig);
    closing.push(() => bus.disconnect());
    await bus.connect();
    return bus;
  }

  const stores = (type: string, id: string, data = {}) =>
    redis.xadd(streamOf(type), '*', ...fieldsOf(type, id, data));

  /** Ids as a handler gets them. */
  async function listen(bus: EventBusClient, pattern: string | string[], noEcho = false) {
    const ids: string[] = [];
    const handler = ({ id }: BusEvent) => void ids.push(id);
    const subscription = await bus.subscribe(pattern as string, handler, { noEcho });
    return { ids, subscription };
  }

  test('each subscription hears what it asks for in all streams, from then on', async () => {
    await stores('OrderCreated', 'before');
    const bus = await client();
    const all = await listen(bus, '*');
    const orders = await listen(bus, ['Order*', 'Order[C]reated']);
    await stores('OrderCreated', 'o1');
    await stores('Quiet', 'not live');
    await redis.xadd('orders:stream', '*', ...fieldsOf('OrderCreated', 'one', {}), 'group', 'g');
    await stores('Shipped', 's1');
    await stores('StockTaken', 't1');
    await redis.xadd('other:stream', '*', 'no', 'event');
    await bus.publish('OrderCreated', {}, { key: 'k', id: 'own' });
    await eventually(() => all.ids.length === 4);
    expect([...all.ids].sort()).toEqual(['o1', 'own', 's1', 't1']);
    expect(orders.ids).toEqual(['o1', 'own']);
    await eventually(() => bus.getStats().eventsForeign === 1);
    await orders.subscription.unsubscribe();
    await all.subscription.unsubscribe();
    await eventually(async () => (await servers.readers()) === 0);
    await stores('OrderCreated', 'unheard');
    const later = await listen(bus, '*');
    await stores('OrderCreated', 'later');
    await eventually(() => later.ids.length > 0);
    expect([later.ids, orders.ids.length, all.ids.length]).toEqual([['later'], 2, 4]);
  });

  test('its own events are left out where that is asked for, and in hybrid mode', async () => {
    const hybrid = await client({ mode: 'hybrid' });
    const local = await listen(hybrid, '*');
    const bus = await client();
    const quiet = await listen(bus, '*', true);
    await eventually(() => hybrid.getStats().mode === 'hybrid');
    await hybrid.publish('OrderCreated', {}, { key: 'k', id: 'theirs' });
    await bus.publish('OrderCreated', {}, { key: 'k', id: 'own' });
    await stores('OrderCreated', 'end');
    await eventually(() => local.ids.includes('end') && quiet.ids.includes('end'));
    expect(quiet.ids).toEqual(['theirs', 'end']);
    expect(local.ids).toEqual(['theirs', 'own', 'end']);
  });

  test('an event that comes on a channel and is stored is heard once', async () => {
    const wire = { read: ['oxbus', 'eventsource'], write: ['oxbus'] } as const;
    const bus = await client({ wire: { read: [...wire.read], write: [...wire.write] } });
    const { ids } = await listen(bus, '*');
    for (let n = 0; n < 20; n += 1) await bus.publish('OrderCreated', { n }, { id: `both ${n}` });
    await bus.publish('OrderCreated', {}, { stream: false, id: 'live' });
    await stores('OrderCreated', 'stored');
    await eventually(() => ids.includes('live') && ids.includes('stored'));
    await stores('OrderCreated', 'end');
    await eventually(() => ids.includes('end'));
    expect([ids.length, new Set(ids).size]).toEqual([23, 23]);
  });

  test('a broken connection loses nothing and doubles nothing; what was trimmed is told', async () => {
    const bus = await client();
    const { ids } = await listen(bus, 'Order*');
    const gaps: { patterns: string[]; recovered: number; complete: boolean }[] = [];
    bus.on('gap', (gap) => void gaps.push(gap));
    const down: string[] = [];
    bus.on('disconnected', ({ link }) => void down.push(link));
    const expected: string[] = [];
    for (let n = 0; n < 60; n += 1) {
      if (n % 20 === 10) await eventually(async () => (await servers.cutReaders()) > 0);
      expected.push(`e${n}`);
      await stores('OrderCreated', `e${n}`);
    }
    await eventually(() => ids.length >= expected.length && down.length >= 3);
    expect(ids).toEqual(expected);
    expect(gaps).toEqual([]);
    expect(down.every((link) => link.startsWith('tail'))).toBe(true);
    // A burst of which the reader sees the end alone, as it comes in one step.
    const burst = redis.multi();
    for (let n = 0; n < 50; n += 1) {
      burst.xadd('orders:stream', 'MAXLEN', 5, '*', ...fieldsOf('OrderCreated', `b${n}`, {}));
    }
    await burst.exec();
    await eventually(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ patterns: ['Order*'], recovered: 0, complete: false });
    await stores('OrderCreated', 'end');
    await eventually(() => ids.includes('end'));
    expect(ids.slice(60)).toEqual(['b45', 'b46', 'b47', 'b48', 'b49', 'end']);
    expect(gaps).toHaveLength(1);
  });

  test('what comes in all streams while they are looked at is neither told as lost nor heard twice', async () => {
    const bus = await client();
    const { ids } = await listen(bus, '*');
    let gaps = 0;
    bus.on('gap', () => {
      gaps += 1;
    });
    const started = Date.now();
    let stored = 0;
    // Streams are looked at once in a second.
    while (Date.now() - started < 2_500) {
      const types = ['OrderCreated', 'StockTaken', 'Shipped'];
      await Promise.all(types.map((type) => stores(type, `l${stored++}`)));
    }
    await eventually(() => new Set(ids).size === stored);
    expect([ids.length, gaps]).toEqual([stored, 0]);
  });

  test('more than a read brings comes in order, and once', async () => {
    const bus = await client();
    const { ids } = await listen(bus, 'Order*');
    const expected = Array.from({ length: 3000 }, (_, n) => `n${n}`);
    const pipeline = (redis as Redis).pipeline();
    for (const id of expected) {
      pipeline.xadd('orders:stream', '*', ...fieldsOf('OrderCreated', id, {}));
    }
    await pipeline.exec();
    await eventually(() => ids.length >= expected.length);
    expect(ids).toEqual(expected);
  });
});
