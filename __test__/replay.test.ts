/** Past events: kept by their id, found in the history, and replayed. */

import type { BusEvent, EventBusClient, ReplayContext, StreamConfig } from '..';
import { isDone, numbers, type RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { rejection } from './support/rejection';
import { keepingLogger, onBothTransports, onTransports } from './support/transports';

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('n');
  });

  /** Publishes some numbers, each in a millisecond of its own. Answers with their message ids. */
  async function publishApart(bus: EventBusClient, count: number): Promise<string[]> {
    const ids: string[] = [];
    for (const n of numbers(count)) {
      const { messageId } = await bus.publish('n', n);
      ids.push(messageId as string);
      const ms = timeOf(messageId as string);
      await eventually(() => Date.now() > ms);
    }
    return ids;
  }

  const timeOf = (id: string) => Number(id.split('-')[0]);

  describe('replay', () => {
    /** What a replay gives to its handler. */
    async function replayed(bus: EventBusClient, query: object) {
      const seen: number[] = [];
      const handler = (event: BusEvent<number>) => seen.push(event.data);
      const result = await bus.replay({ stream: stream.name, handler, ...query } as never);
      return { seen, result };
    }

    test('runs stored events through a handler, one after the other', async () => {
      const bus = await open({ serviceName: 'api' });
      const results = [];
      for (const n of numbers(3)) results.push(await bus.publish('n', n, { key: `k${n}` }));
      const calls: [BusEvent, ReplayContext][] = [];
      let running = 0;
      const result = await bus.replay({
        stream: stream.name,
        handler: async (event, ctx) => {
          expect(running).toBe(0);
          running += 1;
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          calls.push([event, ctx]);
        },
      });
      const ids = results.map(({ messageId }) => messageId);
      expect(result).toEqual({
        replayed: 3,
        failed: 0,
        truncated: false,
        firstId: ids[0],
        lastId: ids[2],
      });
      expect(calls.map(([event]) => event.id)).toEqual(results.map(({ eventId }) => eventId));
      expect(calls[1]?.[0].metadata).toMatchObject({ source: 'api', key: 'k1' });
      const context = { stream: stream.name, messageId: ids[1], attempt: 1 };
      expect(calls[1]?.[1]).toMatchObject({ ...context, channel: results[1]?.channel });
    });

    test('of exactly the range that is asked for', async () => {
      const bus = await open();
      const ids = await publishApart(bus, 6);
      const [third, fifth] = [ids[2] as string, ids[4] as string];
      const date = (id: string) => new Date(timeOf(id));
      for (const [query, expected] of [
        [{}, [0, 1, 2, 3, 4, 5]],
        [{ from: third, to: fifth }, [2, 3, 4]],
        [{ from: date(third), to: date(fifth) }, [2, 3, 4]],
        [{ from: timeOf(fifth) }, [4, 5]],
        [{ from: date(third).toISOString(), limit: 2 }, [2, 3]],
        [{ to: third }, [0, 1, 2]],
        [{ from: fifth, to: third }, []],
        [{ from: Date.now() + 60_000 }, []],
        [{ to: 5 }, []],
      ] as const) {
        const { seen, result } = await replayed(bus, query);
        expect([query, seen]).toEqual([query, expected]);
        expect(result).toMatchObject({ replayed: expected.length, truncated: false });
      }
    });

    test('says when its start was trimmed', async () => {
      const bus = await open();
      const ids = await publishApart(bus, 6);
      await bus.streams.trim(stream.name, { minId: ids[3] as string });
      const { seen, result } = await replayed(bus, {});
      expect(seen).toEqual([3, 4, 5]);
      expect(result).toMatchObject({ replayed: 3, truncated: true, firstId: ids[3] });
      expect((await replayed(bus, { from: ids[2] })).result.truncated).toBe(true);
      expect((await replayed(bus, { from: ids[3] })).result.truncated).toBe(false);
    });

    test('goes on after a handler that failed, and counts it', async () => {
      const logger = keepingLogger();
      const bus = await open({ logger });
      for (const n of numbers(4)) await bus.publish('n', n);
      const result = await bus.replay({
        stream: stream.name,
        handler: ({ data }) => {
          if (data === 1) throw new Error('no such number');
        },
      });
      expect(result).toMatchObject({ replayed: 3, failed: 1 });
      const warnings = logger.lines.filter(({ level }) => level === 'warn');
      expect(warnings).toMatchObject([{ fields: { error: 'no such number' } }]);
      expect(await bus.deadLetters.count()).toBe(0);
    });

    test('leaves groups alone', async () => {
      const bus = await open();
      const seen: number[] = [];
      await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
      for (const n of numbers(3)) await bus.publish('n', n);
      await eventually(() => isDone(bus, stream.name, 'g'));
      await replayed(bus, {});
      await bus.publish('n', 9);
      await eventually(() => seen.includes(9));
      expect(seen).toEqual([0, 1, 2, 9]);
      expect((await bus.streams.info(stream.name)).length).toBe(4);
    });

    test('of a pattern goes over all streams that store it, in order of time', async () => {
      const [orders, photos] = [streamFor('order.*'), streamFor('photo.*')];
      const bus = await open({ streams: [orders, photos] });
      const published: string[] = [];
      for (const n of numbers(9)) {
        const type = ['order.a', 'photo.a', 'photo.b'][n % 3] as string;
        const { messageId } = await bus.publish(type, n);
        if (type !== 'photo.b') published.push(type);
        await eventually(() => Date.now() > timeOf(messageId as string));
      }
      const seen: string[] = [];
      const result = await bus.replay({ pattern: '*.a', handler: ({ type }) => seen.push(type) });
      expect(seen).toEqual(published);
      expect(result.replayed).toBe(6);
    });

    test('to a group appends events again, for that group alone', async () => {
      const bus = await open();
      const seen: Record<string, [number, string][]> = { g: [], h: [] };
      const ids: string[] = [];
      for (const group of ['g', 'h']) {
        await bus.subscribe('n', (event) => seen[group]?.push([event.data, event.id]), {
          group,
        });
      }
      for (const n of numbers(4)) ids.push((await bus.publish('n', n)).messageId as string);
      for (const group of ['g', 'h']) await eventually(() => isDone(bus, stream.name, group));
      const before = seen.g?.map(([, id]) => id);
      const result = await bus.replay({
        stream: stream.name,
        from: ids[1],
        to: ids[2],
        group: 'g',
      });
      expect(result).toMatchObject({ replayed: 2, failed: 0, firstId: ids[1], lastId: ids[2] });
      await eventually(() => seen.g?.length === 6);
      for (const group of ['g', 'h']) await eventually(() => isDone(bus, stream.name, group));
      expect(seen.g?.slice(4).sort()).toEqual([
        [1, before?.[1]],
        [2, before?.[2]],
      ]);
      expect(seen.h).toHaveLength(4);
    });

    test('ends by its signal, before the next event', async () => {
      const bus = await open();
      for (const n of numbers(5)) await bus.publish('n', n);
      const controller = new AbortController();
      const reason = new Error('enough');
      const seen: unknown[] = [];
      const call = bus.replay({
        stream: stream.name,
        signal: controller.signal,
        handler: ({ data }, { signal }) => {
          seen.push(data);
          if (data === 2) controller.abort(reason);
          if (data === 2) seen.push(signal.aborted);
        },
      });
      expect(await rejection(call)).toMatchObject({ code: 'ERR_BUS_ABORTED', cause: reason });
      expect(seen).toEqual([0, 1, 2, true]);
    });

    test('ends with its client', async () => {
      const bus = await open();
      for (const n of numbers(5)) await bus.publish('n', n);
      const started = new Gate();
      const gate = new Gate();
      const seen: unknown[] = [];
      const call = bus.replay({
        stream: stream.name,
        handler: async ({ data }) => {
          seen.push(data);
          started.open();
          await gate.opened;
        },
      });
      const refused = rejection(call);
      await started.opened;
      const closed = bus.disconnect({ timeout: 500 });
      gate.open();
      await closed;
      expect(await refused).toMatchObject({ code: 'ERR_BUS_CLOSED' });
      expect(seen).toEqual([0]);
    });

    test('a long stream is gone through in pages', async () => {
      const bus = await open();
      await Promise.all(numbers(1000).map((n) => bus.publish('n', n)));
      const { seen, result } = await replayed(bus, {});
      expect(seen).toEqual(numbers(1000));
      expect(result.replayed).toBe(1000);
      expect((await replayed(bus, { limit: 600 })).seen).toEqual(numbers(600));
    });

    test.each<[string, string | undefined, object]>([
      ['a bad id', 'from', { from: '12-' }],
      ['a bad time', 'to', { to: 'yesterday' }],
      ['a limit of 0', 'limit', { limit: 0 }],
      ['a handler and a group', 'group', { group: 'g' }],
      ['no handler', 'handler', { handler: undefined }],
      ['a stream and a pattern', undefined, { pattern: 'n' }],
      ['neither', undefined, { stream: undefined }],
      ['an unknown key', 'until', { until: 1 }],
      ['a signal that is none', 'signal', { signal: {} }],
    ])('refused: %s', async (_, path, query) => {
      const bus = await open();
      const given = { stream: stream.name, handler: () => {}, ...query } as never;
      const error = await rejection(bus.replay(given));
      expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', ...(path && { path }) });
      expect(error.stack?.split('\n')[1]).toContain('replay.test.ts');
    });

    test('refused: what no stream stores, and a group that is not there', async () => {
      const bus = await open();
      const handler = () => {};
      expect(await rejection(bus.replay({ pattern: 'other', handler }))).toMatchObject({
        code: 'ERR_BUS_NO_STREAM',
      });
      expect(await rejection(bus.replay({ stream: 'unheard-of', handler }))).toMatchObject({
        code: 'ERR_BUS_NO_STREAM',
      });
      await bus.publish('n', 1);
      expect(await rejection(bus.replay({ stream: stream.name, group: 'g' }))).toMatchObject({
        code: 'ERR_BUS_NO_GROUP',
      });
    });
  });

  describe('history', () => {
    const KEPT = { persistence: { ttl: 60_000 } };

    test('with persistence every event is kept by its id, stored or not', async () => {
      const [bus, other] = [await open(KEPT), await open()];
      const { eventId } = await bus.publish('user.created', { name: 'é' }, { key: 'k' });
      const { eventId: stored } = await bus.publish('n', 1);
      const event = await other.getEvent(eventId);
      expect(event).toMatchObject({ id: eventId, type: 'user.created', data: { name: 'é' } });
      expect(event?.metadata).toMatchObject({ key: 'k', instanceId: bus.instanceId });
      expect(await other.getEvent(stored)).toMatchObject({ id: stored, data: 1 });
      expect(await other.getEvent('unheard-of')).toBeNull();
    });

    test('a client knows for longer what it has published and received itself', async () => {
      const briefly = { persistence: { ttl: 20, history: false } };
      const [bus, other, plain] = [await open(briefly), await open(briefly), await open()];
      const seen: unknown[] = [];
      await bus.subscribe('*', (event) => seen.push(event.id));
      const ids: string[] = [];
      for (const client of [bus, other])
        ids.push((await client.publish('user.created', 1)).eventId);
      await eventually(() => seen.length === 2);
      await eventually(async () => (await plain.getEvent(ids[0]!)) === null);
      await eventually(async () => (await plain.getEvent(ids[1]!)) === null);
      expect(await bus.getEvent(ids[0]!)).toMatchObject({ id: ids[0], type: 'user.created' });
      expect(await bus.getEvent(ids[1]!)).toMatchObject({ id: ids[1] });
      expect(await other.getEvent(ids[0]!)).toBeNull();
      const local = await bus.getHistory({ source: 'local' });
      expect(local.map(({ id }) => id).sort()).toEqual(ids.sort());
      expect(await plain.getHistory({ source: 'local' })).toEqual([]);
    });

    test('past events are found by type and time, oldest or newest first', async () => {
      const bus = await open({ ...KEPT, streams: [streamFor('order.*')] });
      const reader = await open(KEPT);
      const times: string[] = [];
      const types = ['order.a', 'user.b', 'order.c', 'order.a'];
      for (const [n, type] of types.entries()) {
        const { timestamp } = await bus.publish(type, n);
        times.push(timestamp);
        await eventually(() => Date.now() > Date.parse(timestamp) + 1);
      }
      const find = async (query: object) =>
        (await reader.getHistory({ source: 'redis', ...query })).map(({ data }) => data);
      await eventually(async () => (await find({})).length === 4);
      expect(await find({})).toEqual([0, 1, 2, 3]);
      expect(await find({ order: 'desc' })).toEqual([3, 2, 1, 0]);
      expect(await find({ type: 'order.*' })).toEqual([0, 2, 3]);
      expect(await find({ type: 'order.*', limit: 2 })).toEqual([0, 2]);
      expect(await find({ type: 'order.*', limit: 2, order: 'desc' })).toEqual([3, 2]);
      expect(await find({ type: 'nothing' })).toEqual([]);
      expect(await find({ from: Date.now() + 60_000 })).toEqual([]);
      expect(await find({ to: new Date(0) })).toEqual([]);
    });

    test('without a history it is what the streams hold, and what only this client knows', async () => {
      const [bus, reader] = [await open({ persistence: { history: false } }), await open()];
      await bus.publish('n', 1);
      await bus.publish('live', 2);
      await bus.publish('n', 3);
      const data = async (client: EventBusClient, query: object) =>
        (await client.getHistory(query)).map((event) => event.data).sort();
      expect(await data(reader, {})).toEqual([1, 3]);
      expect(await data(bus, {})).toEqual([1, 2, 3]);
      expect(await data(bus, { source: 'redis' })).toEqual([1, 3]);
    });

    test.each<[string, string, object]>([
      ['a limit of 0', 'limit', { limit: 0 }],
      ['a time that is none', 'from', { from: 'yesterday' }],
      ['a source that is none', 'source', { source: 'file' }],
      ['an order that is none', 'order', { order: 'random' }],
      ['an unknown key', 'pattern', { pattern: '*' }],
    ])('refused: %s', async (_, path, query) => {
      const bus = await open();
      const error = await rejection(bus.getHistory(query as never));
      expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
      expect(error.stack?.split('\n')[1]).toContain('replay.test.ts');
    });
  });
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());

  test('a kept event is one key with its time to live, and an entry of the history', async () => {
    const config = { channelPrefix: 'kept:', persistence: { ttl: 60_000 } };
    const bus = await fixture.open(config);
    const { eventId } = await bus.publish('a', { n: 1 });
    const json = await eventually(
      async () => (await raw.redis.get(`kept:event:${eventId}`)) ?? false,
    );
    expect(JSON.parse(json as string)).toMatchObject({ id: eventId, type: 'a', data: { n: 1 } });
    const ttl = await raw.redis.pttl(`kept:event:${eventId}`);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(60_000);
    const [entry] = await raw.entries('kept:history');
    expect(Object.fromEntries(entry?.fields ?? [])).toMatchObject({ eventId, eventType: 'a' });
  });

  test('without history only the keys', async () => {
    const config = { channelPrefix: 'keys:', persistence: { ttl: 60_000, history: false } };
    const bus = await fixture.open(config);
    const { eventId } = await bus.publish('a', 1);
    await eventually(async () => (await raw.redis.exists(`keys:event:${eventId}`)) === 1);
    expect(await raw.redis.exists('keys:history')).toBe(0);
  });

  test('entries that are no events are counted as failed, and passed over', async () => {
    const stream = streamFor('*');
    const bus = await fixture.open({ streams: [stream] });
    await bus.publish('a', 1);
    await raw.add(stream.name, { data: 'no type' });
    await bus.publish('a', 2);
    const seen: unknown[] = [];
    const result = await bus.replay({
      stream: stream.name,
      handler: (event) => seen.push(event.data),
    });
    expect(seen).toEqual([1, 2]);
    expect(result).toMatchObject({ replayed: 2, failed: 1 });
  });
});
