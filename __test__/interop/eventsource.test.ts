/** The Python library eventsource as its document and its entries say that it reads and writes: a double on ioredis. */

import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type BusEvent, EventBusClient } from '../..';
import { eventually } from '../support/eventually';
import { rejection } from '../support/rejection';
import { awkwardPayloads } from './awkward-payloads';
import { beside } from './beside';
import { heard as note } from './heard';

const STREAM = 'orders:stream';
const streams = [{ name: STREAM, events: '*' }];

const on = beside({ config: { wire: 'eventsource', streams } });
const { client, ioredis } = on;

/** What the library writes for a domain event. */
async function stores(redis: Redis, aggregate: string, data: object): Promise<string> {
  const [id, at] = [randomUUID(), '2026-11-27T22:42:16.674477'];
  const event = {
    event_id: id,
    event_type: 'OrderCreated',
    event_version: 1,
    occurred_at: `${at}Z`,
    aggregate_id: aggregate,
    aggregate_type: 'Order',
    aggregate_version: 3,
    tenant_id: null,
    actor_id: null,
    correlation_id: randomUUID(),
    causation_id: null,
    metadata: {},
    ...data,
  };
  const fields = {
    event_id: id,
    event_type: 'OrderCreated',
    aggregate_id: aggregate,
    aggregate_type: 'Order',
    tenant_id: '',
    occurred_at: `${at}+00:00`,
    payload: JSON.stringify(event),
  };
  await redis.xadd(STREAM, '*', ...Object.entries(fields).flat());
  return id;
}

test.each(awkwardPayloads)('the library stores and our group reads: %s', async (_, payload) => {
  const [redis, aggregate] = [ioredis(), randomUUID()];
  const bus = await client();
  const heard: BusEvent[] = [];
  await bus.subscribe('OrderCreated', (event) => void heard.push(event), { group: 'ours' });
  const id = await stores(redis, aggregate, payload);
  await eventually(() => heard.length === 1);
  expect(heard[0]).toMatchObject({
    id,
    type: 'OrderCreated',
    data: payload,
    metadata: {
      timestamp: '2026-11-27T22:42:16.674Z',
      key: aggregate,
      aggregateType: 'Order',
      aggregateVersion: 3,
    },
  });
  expect(heard[0]?.data).toEqual(payload);
  await eventually(async () => ((await redis.xpending(STREAM, 'ours')) as [number])[0] === 0);
  note('eventsource', 'them');
});

test.each(awkwardPayloads)('we store and the library reads: %s', async (_, payload) => {
  const [redis, aggregate] = [ioredis(), randomUUID()];
  await redis.xgroup('CREATE', STREAM, 'default', '0', 'MKSTREAM');
  const bus = await client({ serviceName: 'shop' });
  const metadata = { aggregateType: 'Order', aggregateVersion: 1, tenantId: 'acme' };
  const { eventId } = await bus.publish('OrderCreated', payload, { key: aggregate, metadata });
  const read = await redis.xreadgroup(
    'GROUP',
    'default',
    'worker-1',
    'COUNT',
    100,
    'STREAMS',
    STREAM,
    '>',
  );
  const [, fields] = (read as [string, [string, string[]][]][])[0]?.[1][0] ?? [];
  const pairs: Record<string, string> = {};
  for (let at = 0; at < (fields?.length ?? 0); at += 2)
    pairs[fields?.[at] ?? ''] = fields?.[at + 1] ?? '';
  expect(pairs).toMatchObject({
    event_id: eventId,
    event_type: 'OrderCreated',
    aggregate_id: aggregate,
    aggregate_type: 'Order',
    tenant_id: 'acme',
  });
  expect(JSON.parse(pairs.payload ?? '')).toEqual({
    event_id: eventId,
    event_type: 'OrderCreated',
    occurred_at: pairs.occurred_at,
    aggregate_id: aggregate,
    aggregate_type: 'Order',
    aggregate_version: 1,
    tenant_id: 'acme',
    correlation_id: eventId,
    metadata: { source: 'shop', instanceId: expect.any(String) },
    ...payload,
  });
  note('eventsource', 'us');
});

test('entries of both formats on one stream are read, by one group with the library', async () => {
  const [redis, aggregate] = [ioredis(), randomUUID()];
  const before = await client({ wire: 'oxbus' });
  await before.publish('OrderCreated', { n: 0 }, { id: 'old' });
  const bus = await client();
  const heard: unknown[] = [];
  await bus.subscribe('*', ({ data }) => void heard.push(data), { group: 'g', from: 'beginning' });
  await stores(redis, aggregate, { n: 1 });
  await bus.publish('OrderCreated', { n: 2 }, { key: aggregate });
  await eventually(() => heard.length === 3);
  expect(heard).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
  expect(bus.getStats().eventsDeadLettered).toBe(0);
});

test('what fails is in the stream that the library looks into, and can be replayed', async () => {
  const [redis, aggregate] = [ioredis(), randomUUID()];
  const bus = await client();
  let fails = true;
  const heard: unknown[] = [];
  await bus.subscribe(
    'OrderCreated',
    ({ data }) => {
      if (fails) throw new Error('no');
      heard.push(data);
    },
    { group: 'g', maxRetries: 0 },
  );
  await stores(redis, aggregate, { n: 1 });
  await eventually(async () => (await redis.xlen(`${STREAM}_dlq`)) === 1);
  const [letter] = await bus.deadLetters.list({ stream: STREAM });
  expect(letter?.event).toMatchObject({ type: 'OrderCreated', data: { n: 1 } });
  fails = false;
  await bus.deadLetters.replay(letter?.id ?? '');
  await eventually(() => heard.length === 1);
});

test('what this wire cannot carry is refused before anything is sent', async () => {
  const bus = await client();
  const invalid = { code: 'ERR_BUS_INVALID_DATA', outcome: 'not_sent' };
  expect(await rejection(bus.publish('OrderCreated', {}))).toMatchObject(invalid);
  expect(await rejection(bus.publish('OrderCreated', [], { key: 'k' }))).toMatchObject(invalid);
  const taken = bus.publish('OrderCreated', { event_id: 1 }, { key: 'k' });
  expect(await rejection(taken)).toMatchObject(invalid);
  for (const [pattern, options] of [
    ['room:*', {}],
    ['broadcast', {}],
    ['*', { by: 'channel' }],
  ] as const) {
    const refused = await rejection(bus.subscribe(pattern, () => {}, options));
    expect(refused).toMatchObject({ code: 'ERR_BUS_NO_STREAM' });
  }
  const other = await client({ streams: [{ name: STREAM, events: 'Order*' }] });
  const unheard = await rejection(other.subscribe('Shipment*', () => {}));
  expect(unheard).toMatchObject({ code: 'ERR_BUS_NO_STREAM' });
  const nothing = await client({ streams: [] });
  expect(await rejection(nothing.subscribe('*', () => {}))).toMatchObject({
    code: 'ERR_BUS_NO_STREAM',
  });
  const config = { redis: on.server.url, wire: 'eventsource', pubsub: true } as const;
  expect(() => new EventBusClient(config)).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG' }),
  );
});
