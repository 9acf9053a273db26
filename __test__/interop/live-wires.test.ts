/**
 * Four of the buses that Oxbus was drawn from, as their documents say that they publish and subscribe: doubles on ioredis. Each is
 * heard, and hears, through its wire.
 */

import type { BusEvent, EventBusClient, EventBusConfig } from '../..';
import { eventually } from '../support/eventually';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';
import { awkwardPayloads } from './awkward-payloads';
import { beside } from './beside';
import { heard as note } from './heard';

type Payload = Record<string, unknown>;

interface Double {
  wire: NonNullable<EventBusConfig['wire']>;
  type: string;
  /** Where the old bus publishes such an event, and hears it. */
  channel: string;
  subscribesTo: string;
  message(type: string, payload: Payload): unknown;
  /** What a handler of the old bus looks at. */
  read(message: Payload): { type: unknown; payload: unknown };
}

const member = (value: unknown, name: string): unknown => (value as Payload)[name];

const doubles: Double[] = [
  {
    wire: 'campaign',
    type: 'campaign.status.changed',
    channel: 'campaign:7:status',
    subscribesTo: 'campaign:*:status',
    message: (eventType, data) => ({
      metadata: {
        eventId: 'foreign-1',
        eventType,
        timestamp: new Date(1_760_000_000_000),
        source: 'lifecycle',
        correlationId: 'c-1',
      },
      data,
    }),
    read: ({ metadata, data }) => ({ type: member(metadata, 'eventType'), payload: data }),
  },
  {
    wire: 'photo',
    type: 'photo.uploaded',
    channel: 'photo.uploaded',
    subscribesTo: 'photo.*',
    message: (type, data) => ({
      id: 'foreign-1',
      type,
      data,
      metadata: { timestamp: new Date(1_760_000_000_000), source: 'worker', traceId: 'c-1' },
    }),
    read: ({ type, data }) => ({ type, payload: data }),
  },
  {
    wire: 'platform',
    type: 'booking.created',
    channel: 'booking.created',
    subscribesTo: 'booking.*',
    message: (type, metadata) => ({
      type,
      userId: 'u',
      organizationId: 'o',
      timestamp: new Date(1_760_000_000_000),
      correlationId: 'c-1',
      metadata,
    }),
    read: ({ type, metadata }) => ({ type, payload: metadata }),
  },
  {
    wire: 'spine',
    type: 'dream.created',
    channel: 'dreamnet:events:dream.created',
    subscribesTo: 'dreamnet:events:*',
    message: (type, payload) => ({ id: 'foreign-1', type, payload, timestamp: 1_760_000_000_000 }),
    read: ({ type, payload }) => ({ type, payload }),
  },
];

const { client, ioredis } = beside({ config: { serviceName: 'moved' } });

describe.each(doubles)('$wire', ({ wire, type, channel, subscribesTo, message, read }) => {
  test.each(awkwardPayloads)('we publish and their handler runs: %s', async (_, payload) => {
    const subscriber = ioredis();
    const heard: unknown[] = [];
    subscriber.on('pmessage', (_pattern, _channel, text) => heard.push(read(JSON.parse(text))));
    await subscriber.psubscribe(subscribesTo);
    const bus = await client({ wire });
    await bus.publish(type, payload);
    await eventually(() => heard.length === 1);
    expect(heard).toEqual([{ type, payload }]);
    note(wire as string, 'us');
  });

  test.each(awkwardPayloads)('they publish and our handler runs: %s', async (_, payload) => {
    const bus = await client({ wire });
    const heard: BusEvent[] = [];
    await bus.subscribe(type, (event) => void heard.push(event));
    await bus.subscribe('*', (event) => void heard.push(event));
    await ioredis().publish(channel, JSON.stringify(message(type, payload)));
    await eventually(() => heard.length === 2);
    for (const event of heard) {
      expect(event).toMatchObject({ type, data: payload });
      expect(event.metadata.timestamp.startsWith('2025-10-09T')).toBe(true);
    }
    note(wire as string, 'them');
    expect(bus.getStats()).toMatchObject({ eventsForeign: 0, handlerErrors: 0 });
  });

  test('clients of Oxbus hear each other in full, once, and not themselves', async () => {
    const [bus, other] = [await client({ wire, mode: 'hybrid' }), await client({ wire })];
    await bus.waitUntilReady();
    const heard: [string, BusEvent][] = [];
    const given = { userId: 'u', key: 'k', causationId: 'p' };
    const listen = (name: string, of: EventBusClient, pattern: string) =>
      of.subscribe(pattern, (event) => void heard.push([name, event]));
    await listen('own', bus, type);
    await listen('exact', other, type);
    await listen('all', other, '*');
    for (const id of ['e-1', 'e-2']) {
      const metadata = { tenant: { a: [null] } };
      await bus.publish(type, { campaignId: '7' }, { id, ...given, metadata });
    }
    // What comes behind it has come: nothing came twice.
    await other.publish(type, { campaignId: '7' }, { id: 'last' });
    await eventually(() => heard.filter(([, { id }]) => id === 'last').length === 3);
    const names = heard.map(([name, { id }]) => `${name} ${id}`);
    const of = (name: string) => ['e-1', 'e-2', 'last'].map((id) => `${name} ${id}`);
    expect(names.sort()).toEqual([...of('all'), ...of('exact'), ...of('own')]);
    for (const [, { id, data, metadata }] of heard.filter(([, event]) => event.id !== 'last')) {
      expect(data).toEqual({ campaignId: '7' });
      const tenant = { a: [null] };
      const expected = { source: 'moved', correlationId: id, ...given, tenant };
      expect(metadata).toMatchObject(expected);
    }
  });

  test('rooms, users and broadcasts go on', async () => {
    const [bus, other] = [await client({ wire }), await client({ wire })];
    const heard: string[] = [];
    await other.subscribe(type, (_event, { channel: on }) => void heard.push(on));
    await other.joinRoom('r');
    await other.joinUser('u');
    const data = { campaignId: '7' };
    await bus.publishToRoom('r', type, data);
    await bus.publishToUser('u', type, data);
    await bus.broadcast(type, data);
    await eventually(() => heard.length === 3);
    const prefix = wire === 'spine' ? 'dreamnet:events:' : '';
    expect(heard.sort()).toEqual([`${prefix}broadcast`, `${prefix}room:r`, `${prefix}user:u`]);
  });

  test('a message of another shape is counted and logged', async () => {
    const logger = keepingLogger();
    const bus = await client({ wire, logger, logLevel: 'debug' });
    await bus.subscribe(type, () => {});
    await ioredis().publish(channel, JSON.stringify({ type: 'a', body: {} }));
    await eventually(() => bus.getStats().eventsForeign === 1);
    const of = ({ message: text }: { message: string }) => text === 'a message is not an event';
    await eventually(() => logger.lines.some(of));
    expect(logger.lines.find(of)?.fields).toMatchObject({ channel });
  });
});

describe('campaign', () => {
  const streams = [{ name: 'campaign-events', events: '*' }];

  test.each([
    ['live', {}],
    ['stored', { streams }],
    ['kept', { persistence: {} }],
  ] as [string, EventBusConfig][])(
    'both channels of a status are published to: %s',
    async (_, more) => {
      const subscriber = ioredis();
      const heard: string[] = [];
      subscriber.on('pmessage', (_pattern, on) => heard.push(on));
      await subscriber.psubscribe('*');
      const bus = await client({ wire: 'campaign', ...more });
      const { receivers } = await bus.publish('campaign.status.changed', { campaignId: '7' });
      await eventually(() => heard.filter((on) => on.startsWith('campaign:')).length === 2);
      expect(receivers).toBe(2);
      expect(heard).toEqual(expect.arrayContaining(['campaign:7', 'campaign:7:status']));
    },
  );

  test('an event that cannot name its channel is refused before anything is sent', async () => {
    const bus = await client({ wire: 'campaign' });
    for (const data of [{}, { campaignId: null }, { campaignId: '' }, null]) {
      expect(await rejection(bus.publish('campaign.error', data))).toMatchObject({
        code: 'ERR_BUS_INVALID_DATA',
        outcome: 'not_sent',
        message: expect.stringContaining('data.campaignId'),
      });
    }
    const { receivers } = await bus.publish('anything', {});
    expect(receivers).toBe(0);
  });

  test('entries of the old service and ours are read by one group', async () => {
    const redis = ioredis();
    const bus = await client({ wire: 'campaign', streams });
    const heard: unknown[] = [];
    await bus.subscribe(
      '*',
      ({ id, data, metadata }) => void heard.push([id, data, metadata.causationId]),
      {
        group: 'lifecycle-service',
      },
    );
    const fields = {
      eventId: 'old-1',
      eventType: 'campaign.created',
      timestamp: new Date().toISOString(),
      source: 'main-api',
      correlationId: '',
      causationId: '',
      data: '{"campaignId":"7"}',
    };
    await redis.xadd(
      'campaign-events',
      'MAXLEN',
      '~',
      '10000',
      '*',
      ...Object.entries(fields).flat(),
    );
    await bus.publish('campaign.created', { campaignId: '8' }, { id: 'new-1' });
    await eventually(() => heard.length === 2);
    expect(heard).toEqual([
      ['old-1', { campaignId: '7' }, undefined],
      ['new-1', { campaignId: '8' }, undefined],
    ]);
    expect(bus.getStats().eventsDeadLettered).toBe(0);
    const [entry] = await redis.xrevrange('campaign-events', '+', '-', 'COUNT', 1);
    expect(entry?.[1]).toEqual(
      expect.arrayContaining(['eventId', 'new-1', 'data', '{"campaignId":"8"}']),
    );
  });
});

test('spine keeps an event under its key, as it looks it up', async () => {
  const redis = ioredis();
  const bus = await client({ wire: 'spine', persistence: {} });
  await bus.publish('dream.created', { dreamId: 'd' }, { id: 'event-1' });
  const kept = JSON.parse((await redis.get('dreamnet:events:event:event-1')) ?? '');
  expect(kept).toMatchObject({ id: 'event-1', type: 'dream.created', payload: { dreamId: 'd' } });
  expect(typeof kept.timestamp).toBe('number');
  await redis.set(
    'dreamnet:events:event:event-2',
    JSON.stringify({ id: 'event-2', type: 'a', payload: 1, timestamp: 0 }),
  );
  expect(await bus.getEvent('event-1')).toMatchObject({ id: 'event-1', data: { dreamId: 'd' } });
  expect(await bus.getEvent('event-2')).toMatchObject({
    id: 'event-2',
    data: 1,
    metadata: { timestamp: '1970-01-01T00:00:00.000Z' },
  });
});

test.each(['cloudevents', 'nestjs'] as const)(
  '%s: rooms, groups and hybrid mode go on',
  async (wire) => {
    const streams = [{ name: 'stored', events: 'stored.*' }];
    const bus = await client({ wire, streams, mode: 'hybrid' });
    const other = await client({ wire, streams });
    await bus.waitUntilReady();
    const heard: [string, BusEvent][] = [];
    const listen = (name: string, of: EventBusClient, pattern: string, group?: string) =>
      of.subscribe(pattern, (event) => void heard.push([name, event]), {
        ...(group !== undefined && { group }),
      });
    await listen('own', bus, 'a.*');
    await listen('live', other, 'a.*');
    await listen('group', other, 'stored.*', 'g');
    await other.joinRoom('r');
    const given = {
      userId: 'u',
      key: 'k',
      causationId: 'p',
      traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`,
    };
    await bus.publish('a.b', { n: [null] }, { id: 'e-1', ...given });
    await bus.publishToRoom('r', 'a.b', { n: [null] }, { id: 'e-2', ...given });
    await bus.broadcast('a.b', { n: [null] }, { id: 'e-3', ...given });
    await bus.publish('stored.c', { n: [null] }, { id: 'e-4', ...given });
    await other.publish('a.last', {}, { id: 'last' });
    await eventually(
      () => heard.filter(([, { id }]) => id === 'last').length === 2 && heard.length >= 8,
    );
    const names = heard.map(([name, { id }]) => `${name} ${id}`).sort();
    expect(names).toEqual([
      'group e-4',
      'live e-1',
      'live e-2',
      'live e-3',
      'live last',
      'own e-1',
      'own e-3',
      'own last',
    ]);
    for (const [, { id, data, metadata }] of heard.filter(([, event]) => event.id !== 'last')) {
      expect([data, metadata.correlationId]).toEqual([{ n: [null] }, id]);
      expect(metadata).toMatchObject({ source: 'moved', ...given });
    }
  },
);
