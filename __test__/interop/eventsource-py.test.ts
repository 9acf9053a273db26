/** The Python library eventsource-py 0.8.1 itself, in a virtual environment of its own: `fixtures/python/eventsource`. */

import { randomUUID } from 'node:crypto';
import type { BusEvent } from '../..';
import { eventually } from '../support/eventually';
import type { Peer } from '../support/peer';
import { installPython, startPython } from '../support/python-peer';
import { awkwardPayloads } from './awkward-payloads';
import { beside } from './beside';
import { heard as note } from './heard';

const STREAM = 'orders:stream';
const streams = [{ name: STREAM, events: '*' }];
const PEER = 'eventsource-py';

const on = beside({
  config: { wire: 'eventsource', streams, serviceName: 'shop' },
  prepare: () => installPython('eventsource'),
});
const { client, closing } = on;

/** A service that consumes in a group, `default` unless it is named. */
async function service(group = 'default'): Promise<Peer> {
  const peer = await startPython('eventsource', on.server.url, 'orders', group);
  closing(() => peer.kill());
  peer.tell({ do: 'consume' });
  await peer.told((line) => line.consuming === true);
  return peer;
}

const pending = async (group: string) => {
  const redis = on.ioredis();
  const [count] = (await redis.xpending(STREAM, group)) as [number];
  redis.disconnect();
  return count;
};

test('we store and its handler runs', async () => {
  const peer = await service();
  const bus = await client();
  const tenant = randomUUID();
  for (const [name, payload] of awkwardPayloads) {
    const key = randomUUID();
    const metadata = { aggregateType: 'Order', aggregateVersion: 7, tenantId: tenant, note: name };
    const { eventId } = await bus.publish('OrderCreated', payload, { key, metadata });
    const line = await peer.told(({ event_id }) => event_id === eventId);
    expect(line).toEqual({
      heard: payload,
      event_id: eventId,
      aggregate_id: key,
      aggregate_version: 7,
      tenant_id: tenant,
      correlation_id: eventId,
      metadata: { source: 'shop', instanceId: expect.any(String), note: name },
    });
  }
  await eventually(async () => (await pending('default')) === 0);
  note(PEER, 'us');
});

test('it publishes and our group reads', async () => {
  const peer = await service();
  const bus = await client();
  const heard: BusEvent[] = [];
  await bus.subscribe('OrderCreated', (event) => void heard.push(event), { group: 'ours' });
  for (const [, data] of awkwardPayloads) {
    const aggregate = randomUUID();
    const before = heard.length;
    peer.tell({ do: 'publish', aggregate_id: aggregate, data });
    await eventually(() => heard.length > before);
    const event = heard.at(-1);
    const line = await peer.told(({ published }) => published === event?.id);
    expect(event?.data).toMatchObject(data);
    expect(event?.metadata).toMatchObject({
      correlationId: line.correlation_id,
      key: aggregate,
      aggregateType: 'Order',
      aggregateVersion: 3,
      eventVersion: 1,
    });
  }
  await eventually(async () => (await pending('ours')) === 0);
  note(PEER, 'them');
});

test('it publishes and a live subscription hears it, from then on and without a group', async () => {
  const peer = await service();
  const bus = await client();
  peer.tell({ do: 'publish', aggregate_id: randomUUID(), data: { n: 0 } });
  await peer.told(({ published }) => published !== undefined);
  const heard: BusEvent[] = [];
  const quiet: BusEvent[] = [];
  await bus.subscribe('Order*', (event) => void heard.push(event));
  await bus.subscribe('*', (event) => void quiet.push(event), { noEcho: true });
  for (const [n, [, data]] of awkwardPayloads.entries()) {
    const aggregate = randomUUID();
    peer.tell({ do: 'publish', aggregate_id: aggregate, data });
    await eventually(() => heard.length === n + 1);
    expect(heard[n]?.data).toMatchObject(data);
    expect(heard[n]?.metadata).toMatchObject({ key: aggregate, aggregateType: 'Order' });
  }
  await bus.publish('OrderCreated', { n: 1 }, { key: randomUUID(), id: 'own' });
  await eventually(() => heard.at(-1)?.id === 'own');
  expect(quiet.map(({ id }) => id)).toEqual(heard.slice(0, -1).map(({ id }) => id));
  const redis = on.ioredis();
  const groups = (await redis.xinfo('GROUPS', STREAM)) as unknown[][];
  redis.disconnect();
  expect(groups.map((group) => group[1])).toEqual(['default']);
});

test('in one group with it every event is handled once, by either', async () => {
  const bus = await client({ foreignLease: 60_000 });
  const ours: number[] = [];
  const handler = ({ data }: BusEvent) => void ours.push((data as { n: number }).n);
  await bus.subscribe('OrderCreated', handler, { group: 'default', from: 'beginning' });
  const peer = await service();
  const theirs = () => peer.lines.flatMap(({ heard }) => (heard as { n?: number })?.n ?? []);
  const all: number[] = [];
  // Some of each, until both have had some.
  while (ours.length === 0 || theirs().length === 0) {
    const n = all.length;
    all.push(n, n + 1);
    await bus.publish(
      'OrderCreated',
      { n },
      { key: randomUUID(), metadata: { aggregateType: 'Order' } },
    );
    peer.tell({ do: 'publish', aggregate_id: randomUUID(), data: { n: n + 1 } });
    await eventually(() => ours.length + theirs().length >= all.length);
  }
  await eventually(async () => (await pending('default')) === 0);
  expect([...ours, ...theirs()].sort((a, b) => a - b)).toEqual(all);
  expect(bus.getStats().eventsDeadLettered).toBe(0);
});

test('what it was killed with is taken over by ours in its group', async () => {
  const peer = await service();
  peer.tell({ do: 'hang' });
  await peer.told((line) => line.will_hang === true);
  const bus = await client({ lease: 300, foreignLease: 600 });
  const given = { key: randomUUID(), metadata: { aggregateType: 'Order' } };
  const { eventId } = await bus.publish('OrderCreated', { n: 1 }, given);
  await peer.told(({ hangs }) => hangs === eventId);
  const heard: string[] = [];
  await bus.subscribe('OrderCreated', ({ id }) => void heard.push(id), { group: 'default' });
  await peer.kill();
  await eventually(() => heard.length === 1);
  expect(heard).toEqual([eventId]);
  await eventually(async () => (await pending('default')) === 0);
});

test('what our group gives up is in the letters that it lists', async () => {
  const peer = await service();
  const bus = await client();
  const fail = () => {
    throw new Error('no');
  };
  await bus.subscribe('OrderCreated', fail, { group: 'ours', maxRetries: 0 });
  peer.tell({ do: 'publish', aggregate_id: randomUUID(), data: { n: 1 } });
  await eventually(() => bus.getStats().eventsDeadLettered === 1);
  peer.tell({ do: 'letters' });
  expect(await peer.told(({ letters }) => letters !== undefined)).toEqual({ letters: 1 });
});
