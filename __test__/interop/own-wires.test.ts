/** Formats that users describe: with a double on ioredis that has such a format. */

import { type BusEvent, EventBusClient, type EventBusConfig, type WireMapping } from '../..';
import { eventually } from '../support/eventually';
import { rejection } from '../support/rejection';
import { awkwardPayloads } from './awkward-payloads';
import { beside } from './beside';

const { client, ioredis } = beside();

const wire: WireMapping = {
  fields: {
    write: {
      'head.uid': 'id',
      'head.kind': 'type',
      'head.v': { value: 2 },
      ts: 'timestampMs',
      'head.by': 'metadata.source',
      campaign: 'data.campaignId',
      payload: 'data',
      more: 'metadata',
    },
    read: {
      id: 'head.uid',
      type: 'head.kind',
      timestampMs: 'ts',
      'metadata.source': 'head.by',
      data: 'payload',
      metadata: 'more',
    },
  },
  channels: [
    {
      events: 'campaign.status.*',
      to: ['c:{data.campaignId}', 'c:{data.campaignId}:{metadata.key}'],
    },
    { events: ['timer.*', 'clock'], to: 'timers:{type}' },
  ],
};

test.each(awkwardPayloads)('both ways: %s', async (_, payload) => {
  const redis = ioredis();
  const heard: [string, unknown][] = [];
  redis.on('pmessage', (_pattern, on, text) => heard.push([on, JSON.parse(text)]));
  await redis.psubscribe('app:*');
  const bus = await client({ wire, channelPrefix: 'app:', serviceName: 's' });
  await bus.publish('campaign.status.live', payload, {
    id: 'e1',
    key: 'k',
    timestamp: new Date(1_760_000_000_123),
  });
  await bus.publish('timer.ended', payload, { id: 'e2' });
  await bus.publish('other', payload, { id: 'e3' });
  await eventually(() => heard.length === 4);
  expect(heard.map(([on]) => on)).toEqual([
    'app:c:7',
    'app:c:7:k',
    'app:timers:timer.ended',
    'app:other',
  ]);
  expect(heard[0]?.[1]).toEqual({
    head: { uid: 'e1', kind: 'campaign.status.live', v: 2, by: 's' },
    ts: 1_760_000_000_123,
    campaign: '7',
    payload,
    more: { instanceId: expect.any(String), correlationId: 'e1', key: 'k' },
  });

  const received: BusEvent[] = [];
  await bus.subscribe(['campaign.*', 'timer.ended'], (event) => void received.push(event));
  const message = { head: { uid: 'f1', kind: 'campaign.status.live', by: 'them' }, ts: 0, payload };
  for (const on of ['app:c:7:x', 'app:c:7']) await ioredis().publish(on, JSON.stringify(message));
  await bus.publish('campaign.status.live', payload, { id: 'e4', key: 'k' });
  await bus.publish('timer.ended', payload, { id: 'e5' });
  await bus.publish('timer.other', payload, { id: 'e6' });
  await bus.publish('campaign.other', payload, { id: 'e7' });
  await eventually(() => received.some(({ id }) => id === 'e7') && received.length >= 4);
  expect(received.map(({ id }) => id).sort()).toEqual(['e4', 'e5', 'e7', 'f1']);
  expect(received.find(({ id }) => id === 'f1')).toMatchObject({
    data: payload,
    metadata: { source: 'them', timestamp: '1970-01-01T00:00:00.000Z' },
  });
});

test('a subscription with patterns of types and of channels is called once', async () => {
  const bus = await client({ wire });
  const heard: string[] = [];
  await bus.subscribe(['room:a', '*'], ({ id }) => void heard.push(id));
  await bus.subscribe('c:*', ({ id }) => void heard.push(`${id} by channel`), { by: 'channel' });
  await bus.publish('campaign.status.live', { campaignId: 1 }, { id: 'e1', key: 'k' });
  await bus.publishToRoom('a', 'timer.ended', {}, { id: 'e2' });
  await bus.publish('last', {}, { id: 'e3' });
  await eventually(() => heard.includes('e3'));
  expect(heard.sort()).toEqual(['e1', 'e1 by channel', 'e1 by channel', 'e2', 'e3']);
});

test('what a template needs and an event has not is refused before anything is sent', async () => {
  const bus = await client({ wire });
  for (const [data, key, path] of [
    [{}, 'k', 'data.campaignId'],
    [{ campaignId: [] }, 'k', 'data.campaignId'],
    [{ campaignId: 'a\nb' }, 'k', 'data.campaignId'],
    [{ campaignId: '7' }, undefined, 'metadata.key'],
  ] as const) {
    const published = bus.publish('campaign.status.live', data, { key });
    const error = await rejection(published);
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_DATA', outcome: 'not_sent' });
    expect(error.message).toContain(path);
  }
});

const minimal = { type: 'type', data: 'data' };

test.each<[unknown, string]>([
  [1, 'wire'],
  ['kafka', 'wire'],
  [{}, 'wire.fields'],
  [{ fields: {} }, 'wire.fields.write'],
  [{ fields: { write: {} } }, 'wire.fields.write'],
  [{ fields: { write: { type: 'type' } } }, 'wire.fields.write'],
  [{ fields: { write: { ...minimal, x: 'payload' } } }, 'wire.fields.write.x'],
  [{ fields: { write: { ...minimal, x: 'data.' } } }, 'wire.fields.write.x'],
  [{ fields: { write: { ...minimal, x: { values: 1 } } } }, 'wire.fields.write.x'],
  [{ fields: { write: { ...minimal, 'a..b': 'id' } } }, 'wire.fields.write.a..b'],
  [{ fields: { write: { ...minimal, 'a.*': 'id' } } }, 'wire.fields.write.a.*'],
  [{ fields: { write: { ...minimal, 'data.id': 'id' } } }, 'wire.fields.write'],
  [{ fields: { write: minimal, read: { tipe: 'type' } } }, 'wire.fields.read.tipe'],
  [{ fields: { write: minimal, read: { type: 1 } } }, 'wire.fields.read.type'],
  [{ fields: { write: minimal, more: 1 } }, 'wire.fields.more'],
  [{ fields: { write: minimal }, stream: {} }, 'wire.stream.write'],
  [{ fields: { write: minimal }, stream: { write: { x: 'body' } } }, 'wire.stream.write.x'],
  [{ fields: { write: minimal }, keys: { stream: 'x' } }, 'wire.keys.stream'],
  [{ fields: { write: minimal }, deadLetters: {} }, 'wire.deadLetters.stream'],
  [{ fields: { write: minimal }, deadLetters: { list: 'dlq' } }, 'wire.deadLetters.list'],
  [{ fields: { write: minimal }, channels: [] }, 'wire.channels'],
  [{ fields: { write: minimal }, channels: [{ events: '*' }] }, 'wire.channels[0].to'],
  [{ fields: { write: minimal }, channels: [{ events: '*', to: 'a:{data' }] }, 'wire.channels'],
  [{ fields: { write: minimal }, channels: [{ events: '*', to: 'a:{body.x}' }] }, 'wire.channels'],
  [
    { fields: { write: minimal }, channels: [{ events: '*', to: ['a', 'b'] }] },
    'wire.fields.write',
  ],
  [{ fields: { write: { x: 'data' } }, channels: [{ events: '*', to: 'a' }] }, 'wire.fields.write'],
])('a wire is refused: %j', (bad, path) => {
  const config = { mode: 'memory', wire: bad } as EventBusConfig;
  expect(() => new EventBusClient(config)).toThrow(
    expect.objectContaining({
      code: 'ERR_BUS_INVALID_CONFIG',
      message: expect.stringContaining(`${path}: `),
    }),
  );
});
