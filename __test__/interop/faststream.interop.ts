/** The Python library FastStream 0.7.8 itself, in a virtual environment of its own: `fixtures/python/faststream`. */

import type { BusEvent } from '../..';
import { eventually } from '../support/eventually';
import type { Line, Peer } from '../support/peer';
import { installPython, startPython } from '../support/python-peer';
import { awkwardPayloads } from './awkward-payloads';
import { beside } from './beside';
import { heard as note } from './heard';

const streams = [{ name: 'orders', events: ['order.*', 'orders'], realtime: false }];

const on = beside({
  config: { wire: 'faststream', serviceName: 'shop' },
  prepare: () => installPython('faststream'),
});
const { client, closing } = on;

async function service(): Promise<Peer> {
  const peer = await startPython('faststream', on.server.url);
  closing(() => peer.kill());
  await eventually(async () => (await on.server.command('PUBSUB NUMPAT')) === ':1');
  return peer;
}

const by = (name: string) => (line: Line) => line.by === name;

test.each(awkwardPayloads)('we publish and its handlers run: %s', async (_, payload) => {
  const peer = await service();
  const bus = await client();
  const given = { correlationId: 'ключ', metadata: { tenant: 'Ω' } };
  const { eventId } = await bus.publish('order.placed', payload, given);
  const expected = {
    heard: payload,
    correlation_id: 'ключ',
    message_id: eventId,
    event_type: 'order.placed',
  };
  expect(await peer.told(by('channel'))).toEqual({ ...expected, by: 'channel' });
  expect(await peer.told(by('pattern'))).toEqual({ ...expected, by: 'pattern' });
  note('faststream, channels', 'us');
});

test.each(awkwardPayloads)('it publishes and our handler runs: %s', async (_, data) => {
  const peer = await service();
  const bus = await client();
  const heard: BusEvent[] = [];
  await bus.subscribe('other.*', (event) => void heard.push(event));
  const headers = { tenant: 't' };
  const options = { channel: 'other.placed', correlation_id: 'c-1', headers };
  peer.tell({ data, options });
  peer.tell({ data: 'a "text"', options });
  await eventually(() => heard.length === 2);
  expect(heard).toMatchObject([
    { type: 'other.placed', data, metadata: { correlationId: 'c-1', tenant: 't' } },
    { type: 'other.placed', data: 'a "text"' },
  ]);
  expect(heard[0]?.data).toEqual(data);
  note('faststream, channels', 'them');
});

test.each(awkwardPayloads)(
  'we store and its group and its batches read: %s',
  async (_, payload) => {
    const peer = await service();
    const bus = await client({ streams });
    const { eventId } = await bus.publish('order.placed', payload, { correlationId: 'c-1' });
    expect(await peer.told(by('stream'))).toEqual({
      heard: payload,
      by: 'stream',
      correlation_id: 'c-1',
      message_id: eventId,
      event_type: 'order.placed',
    });
    expect((await peer.told(by('batch'))).heard).toEqual([payload]);
    note('faststream, streams', 'us');
  },
);

test.each(awkwardPayloads)('it stores and our group reads: %s', async (_, data) => {
  const peer = await service();
  const bus = await client({ streams });
  const heard: BusEvent[] = [];
  await bus.subscribe('*', (event) => void heard.push(event), { group: 'ours' });
  peer.tell({ data, options: { stream: 'orders', correlation_id: 'c-1' } });
  const headers = { event_type: 'order.placed', message_id: 'm-1' };
  peer.tell({ data, options: { stream: 'orders', headers } });
  await eventually(() => heard.length === 2);
  await bus.publish('order.last', data);
  await eventually(() => heard.length === 3);
  expect(heard).toMatchObject([
    { type: 'orders', data, metadata: { correlationId: 'c-1' } },
    { id: 'm-1', type: 'order.placed', data },
    { type: 'order.last', data, metadata: { source: 'shop' } },
  ]);
  expect(bus.getStats().eventsDeadLettered).toBe(0);
  note('faststream, streams', 'them');
});

test('what fails is dead-lettered as it was stored, and can be replayed', async () => {
  const peer = await service();
  const bus = await client({ streams });
  const heard: BusEvent[] = [];
  let fails = true;
  const handler = (event: BusEvent) => {
    if (fails) throw new Error('no');
    heard.push(event);
  };
  await bus.subscribe('*', handler, { group: 'ours', maxRetries: 0 });
  peer.tell({ data: { n: 1 }, options: { stream: 'orders' } });
  await eventually(() => bus.getStats().eventsDeadLettered === 1);
  const [letter] = await bus.deadLetters.list({ stream: 'orders' });
  expect(letter?.event).toMatchObject({ type: 'orders', data: { n: 1 } });
  fails = false;
  await bus.deadLetters.replay(letter?.id ?? '');
  await eventually(() => heard.length === 1);
  expect(heard[0]).toMatchObject({ type: 'orders', data: { n: 1 } });
});

test('entries of Oxbus on the same stream are read by both', async () => {
  const peer = await service();
  const before = await client({ wire: 'oxbus', streams });
  await before.publish('order.placed', { n: 0 });
  const bus = await client({ streams });
  const heard: unknown[] = [];
  await bus.subscribe('*', ({ data }) => void heard.push(data), { group: 'g', from: 'beginning' });
  await bus.publish('order.placed', { n: 1 });
  await eventually(() => heard.length === 2);
  expect(heard).toEqual([{ n: 0 }, { n: 1 }]);
  await eventually(() => peer.lines.filter(by('stream')).length === 2);
  expect(peer.lines.filter(by('stream')).map((line) => line.heard)).toEqual([{ n: 0 }, { n: 1 }]);
});
