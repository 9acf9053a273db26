/** Streams: how events lie in them, and what can be seen and done of them. */

import type { BusEvent } from '..';
import { isDone, type RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { rejection } from './support/rejection';
import { onBothTransports, onTransports } from './support/transports';

onBothTransports((fixture) => {
  test('connecting makes streams and their groups', async () => {
    const stream = streamFor('a', {
      consumerGroups: ['late', { name: 'early', from: 'beginning' }],
    });
    const publisher = await fixture.open();
    const bus = await fixture.open({ streams: [stream] });
    const { groups } = await bus.streams.info(stream.name);
    expect(groups.map(({ name }) => name).sort()).toEqual(['early', 'late']);
    expect(groups[0]).toMatchObject({ consumers: [], pending: 0, oldestPendingAge: null });
    // What is published before the first subscription is there for both.
    await bus.publish('a', 1);
    const again = await fixture.open({ streams: [stream] });
    const seen: string[] = [];
    for (const group of ['early', 'late']) {
      await again.subscribe('a', () => seen.push(group), { group });
    }
    await eventually(() => seen.length === 2);
    expect(seen.sort()).toEqual(['early', 'late']);
    await publisher.disconnect();
  });

  test('what a stream, its groups and their consumers are doing', async () => {
    const [stream, empty] = [streamFor('a'), streamFor('b')];
    const bus = await fixture.open({ streams: [stream, empty] });
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await bus.subscribe('a', () => released, { group: 'g', consumer: 'c-1', concurrency: 4 });
    const ids: (string | undefined)[] = [];
    for (let n = 0; n < 3; n += 1) ids.push((await bus.publish('a', n)).messageId);
    await eventually(async () => (await bus.streams.pending(stream.name, 'g')).length === 3);
    const info = await bus.streams.info(stream.name);
    expect(info).toEqual({
      name: stream.name,
      length: 3,
      firstId: ids[0],
      lastId: ids[2],
      deadLetters: 0,
      groups: [
        {
          name: 'g',
          consumers: [{ name: 'c-1', pending: 3, idle: expect.any(Number), alive: true }],
          waiting: 0,
          pending: 3,
          delayed: 0,
          unowned: 0,
          lag: 0,
          backlog: 0,
          oldestPendingAge: expect.any(Number),
          lastDeliveredId: ids[2],
          skipped: {},
        },
      ],
    });
    expect(await bus.streams.list()).toMatchObject([
      { name: stream.name, length: 3 },
      { name: empty.name, length: 0, firstId: null, lastId: null },
    ]);
    const pending = await bus.streams.pending(stream.name, 'g', { limit: 2 });
    expect(pending).toEqual(
      ids.slice(0, 2).map((id) => ({
        id,
        consumer: 'c-1',
        idle: expect.any(Number),
        deliveryCount: 1,
      })),
    );
    release();
    await eventually(() => isDone(bus, stream.name, 'g'));
  });

  test('whether there is a stream, configured or not', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    const other = await fixture.open();
    expect(await bus.streams.exists(stream.name)).toBe(false);
    await bus.publish('a', 1);
    expect(await bus.streams.exists(stream.name)).toBe(true);
    expect(await other.streams.exists(stream.name)).toBe(true);
    expect(await other.streams.exists('unheard-of')).toBe(false);
  });

  test('a stream is trimmed by length, by id and by time', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    const ids: string[] = [];
    for (let n = 0; n < 10; n += 1) ids.push((await bus.publish('a', n)).messageId as string);
    expect(await bus.streams.trim(stream.name, { maxLength: 8 })).toBe(2);
    expect(await bus.streams.trim(stream.name, { minId: ids[5] as string })).toBe(3);
    expect((await bus.streams.info(stream.name)).firstId).toBe(ids[5]);
    expect(await bus.streams.trim(stream.name, { before: new Date(0) })).toBe(0);
    expect(await bus.streams.trim(stream.name, { before: Date.now() + 60_000 })).toBe(5);
    expect(await bus.streams.info(stream.name)).toMatchObject({ length: 0, firstId: null });
  });

  test('a group goes on where it is told to, and goes when it is told to', async () => {
    const stream = streamFor('n', { consumerGroups: ['g', 'h'] });
    const bus = await fixture.open({ streams: [stream] });
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push((await bus.publish('n', n)).messageId as string);
    /** What the group gets until it has read everything. */
    const rest = async (group: string) => {
      const seen: number[] = [];
      const sub = await bus.subscribe('n', (event) => seen.push(event.data), { group });
      await eventually(() => isDone(bus, stream.name, group));
      await sub.unsubscribe({ wait: true });
      return seen;
    };
    expect(await rest('g')).toEqual([0, 1, 2, 3]);
    for (const [position, expected] of [
      [ids[1] as string, [2, 3]],
      ['beginning', [0, 1, 2, 3]],
      [new Date(Number(ids[0]?.split('-')[0])), [0, 1, 2, 3]],
    ] as const) {
      await bus.streams.setPosition(stream.name, 'g', position);
      expect(await rest('g')).toEqual(expected);
    }
    await bus.streams.setPosition(stream.name, 'h', 'new');
    await bus.publish('n', 9);
    expect(await rest('h')).toEqual([9]);
    expect(await bus.streams.removeGroup(stream.name, 'g')).toBe(true);
    expect(await bus.streams.removeGroup(stream.name, 'g')).toBe(false);
    const { groups } = await bus.streams.info(stream.name);
    expect(groups.map(({ name }) => name)).toEqual(['h']);
  });

  test.each<[string, string, (bus: any, stream: string) => Promise<unknown>]>([
    ['info of no stream', 'NO_STREAM', (bus) => bus.streams.info('unheard-of')],
    ['pending of no stream', 'NO_STREAM', (bus) => bus.streams.pending('unheard-of', 'g')],
    ['pending of no group', 'NO_GROUP', (bus, s) => bus.streams.pending(s, 'g')],
    ['a position of no group', 'NO_GROUP', (bus, s) => bus.streams.setPosition(s, 'g', 'new')],
    ['trim of no stream', 'NO_STREAM', (bus) => bus.streams.trim('unheard-of', { maxLength: 1 })],
    ['a group of no stream', 'NO_STREAM', (bus) => bus.streams.removeGroup('unheard-of', 'g')],
  ])('refused: %s', async (_, code, call) => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    await bus.publish('a', 1);
    const error = await rejection(call(bus, stream.name));
    expect(error).toMatchObject({ code: `ERR_BUS_${code}` });
    expect(error.stack?.split('\n')[1]).toContain('streams.test.ts');
  });

  test('a stream keeps about as much as it is told to', async () => {
    const stream = streamFor('n', { maxLength: 100, safeTrim: false });
    const bus = await fixture.open({ streams: [stream] });
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, n) => bus.publish('n', n)));
    }
    const { length } = await bus.streams.info(stream.name);
    expect(length).toBeGreaterThanOrEqual(100);
    // Redis trims by nodes of up to 100 entries.
    expect(length).toBeLessThanOrEqual(200);
  });
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());

  test('an entry has the fields of the wire format, in their order', async () => {
    const stream = streamFor('a.*');
    const bus = await fixture.open({ streams: [stream], serviceName: 'api' });
    const plain = await bus.publish('a.plain', { text: 'é\n' });
    const full = await bus.publish('a.full', [1, null], {
      id: 'own',
      timestamp: '2026-01-02T03:04:05.678Z',
      source: 'elsewhere',
      correlationId: 'corr',
      causationId: 'cause',
      userId: 'u',
      organizationId: 'o',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 's=1',
      key: 'k',
      metadata: { extra: { deep: [true] } },
    });
    const [first, second] = await raw.entries(stream.name);
    expect(first?.id).toBe(plain.messageId);
    expect(first?.fields.map(([name]) => name)).toEqual([
      'eventId',
      'eventType',
      'timestamp',
      'source',
      'correlationId',
      'data',
      'meta',
    ]);
    expect(Object.fromEntries(first?.fields ?? [])).toMatchObject({
      eventId: plain.eventId,
      eventType: 'a.plain',
      timestamp: plain.timestamp,
      source: 'api',
      correlationId: plain.eventId,
      data: '{"text":"é\\n"}',
      meta: JSON.stringify({ instanceId: bus.instanceId }),
    });
    expect(second?.id).toBe(full.messageId);
    expect(second?.fields.slice(0, 7)).toEqual([
      ['eventId', 'own'],
      ['eventType', 'a.full'],
      ['timestamp', '2026-01-02T03:04:05.678Z'],
      ['source', 'elsewhere'],
      ['correlationId', 'corr'],
      ['causationId', 'cause'],
      ['data', '[1,null]'],
    ]);
    expect(second?.fields).toHaveLength(8);
    expect(JSON.parse(second?.fields[7]?.[1] ?? '')).toEqual({
      instanceId: bus.instanceId,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 's=1',
      userId: 'u',
      organizationId: 'o',
      key: 'k',
      extra: { deep: [true] },
    });
  });

  test('entries of other programs are events, whatever they leave out', async () => {
    const stream = streamFor('*');
    const bus = await fixture.open({ streams: [stream] });
    const seen: BusEvent[] = [];
    await bus.subscribe('*', (event) => seen.push(event), { group: 'g' });
    const full = {
      eventId: 'e-1',
      eventType: 'campaign.status.changed',
      timestamp: '2026-01-02T03:04:05.678Z',
      source: 'campaign-api',
      correlationId: 'c-1',
      causationId: 'e-0',
      data: '{"campaignId":"7"}',
    };
    await raw.add(stream.name, full);
    const bare = await raw.add(stream.name, { data: 'null', eventType: 'bare', more: 'unknown' });
    await eventually(() => seen.length === 2);
    const { eventId, eventType, data, ...metadata } = full;
    expect(seen[0]).toEqual({ id: eventId, type: eventType, data: JSON.parse(data), metadata });
    expect(seen[1]).toEqual({
      id: bare,
      type: 'bare',
      data: null,
      metadata: {
        timestamp: new Date(Number(bare.split('-')[0])).toISOString(),
        source: 'unknown',
        correlationId: bare,
      },
    });
  });

  test('a server out of memory refuses an event as a whole; groups go on', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    const [live, durable]: [unknown[], unknown[]] = [[], []];
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await bus.subscribe('a', (event) => live.push(event.data));
    await bus.subscribe(
      'a',
      async (event) => {
        await released;
        durable.push(event.data);
      },
      { group: 'g' },
    );
    await bus.publish('a', 1);
    await raw.redis.config('SET', 'maxmemory', '1');
    try {
      const error = await rejection(bus.publish('a', 2));
      expect(error).toMatchObject({ code: 'ERR_BUS_SERVER_OOM', outcome: 'rejected' });
      release();
      await eventually(() => isDone(bus, stream.name, 'g'));
    } finally {
      await raw.redis.config('SET', 'maxmemory', '0');
    }
    await bus.publish('a', 3);
    await eventually(() => live.length === 2 && durable.length === 2);
    expect([live, durable]).toEqual([
      [1, 3],
      [1, 3],
    ]);
  });

  test('a stream whose name something else has is told, and hurts no other', async () => {
    const [broken, good] = [streamFor('a'), streamFor('b')];
    await raw.redis.set(broken.name, 'a text');
    const bus = await fixture.open({ streams: [broken, good] });
    // By a script, which publishes as well, by another one for an id that is known, and by a command alone.
    for (const options of [{}, { id: 'x', deduplicate: true }, { replicas: 1 }]) {
      expect(await rejection(bus.publish('a', 1, options))).toMatchObject({
        code: 'ERR_BUS_WRONG_TYPE',
        outcome: 'rejected',
        message: expect.stringContaining(JSON.stringify(broken.name)),
      });
    }
    expect(await bus.publish('b', 1)).toMatchObject({ stream: good.name });
    await eventually(async () => (await bus.healthCheck()).status === 'degraded');
    const { streams } = await bus.healthCheck();
    expect(streams[broken.name]?.error).toMatchObject({ code: 'ERR_BUS_WRONG_TYPE' });
    expect(streams[good.name]).not.toHaveProperty('error');
    expect(await rejection(bus.streams.exists(broken.name))).toMatchObject({
      code: 'ERR_BUS_WRONG_TYPE',
    });
  });
});
