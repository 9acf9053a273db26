/** Publishing into streams: where an event is stored, what is a duplicate, and how many have it. */

import { ValidationError } from '..';
import { MESSAGE_ID, RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { onBothTransports, onTransports } from './support/transports';

onBothTransports((fixture) => {
  test('the result of a publish tells where the event is stored', async () => {
    const stream = streamFor('order.*');
    const bus = await fixture.open({ streams: [stream] });
    const stored = await bus.publish('order.placed', { total: 5 });
    expect(stored).toEqual({
      eventId: expect.any(String),
      type: 'order.placed',
      channel: expect.stringMatching(/order\.placed$/),
      timestamp: expect.any(String),
      receivers: 0,
      local: 0,
      stream: stream.name,
      messageId: expect.stringMatching(MESSAGE_ID),
    });
    const live = await bus.publish('user.created', {});
    expect(live).not.toHaveProperty('stream');
    expect(live).not.toHaveProperty('messageId');
    expect(await bus.streams.info(stream.name)).toMatchObject({
      length: 1,
      firstId: stored.messageId,
      lastId: stored.messageId,
    });
  });

  test('the first stream that matches stores it; options name another, or none', async () => {
    const [orders, all] = [streamFor(['order.*', 'invoice.?']), streamFor('*')];
    const bus = await fixture.open({ streams: [orders, all] });
    const storedIn = async (type: string, options?: object) =>
      (await bus.publish(type, 1, options)).stream;
    expect(await storedIn('order.placed')).toBe(orders.name);
    expect(await storedIn('invoice.a')).toBe(orders.name);
    expect(await storedIn('invoice.ab')).toBe(all.name);
    expect(await storedIn('order.placed', { stream: all.name })).toBe(all.name);
    expect(await storedIn('order.placed', { stream: false })).toBeUndefined();
    const lengths = (await bus.streams.list()).map(({ name, length }) => [name, length]);
    expect(lengths).toEqual([
      [orders.name, 2],
      [all.name, 2],
    ]);
    const error = await rejection(bus.publish('order.placed', 1, { stream: 'unheard-of' }));
    expect(error).toMatchObject({ code: 'ERR_BUS_NO_STREAM', outcome: 'not_sent', path: 'stream' });
  });

  test('a batch is stored in order, and settles each item by itself', async () => {
    const stream = streamFor('n');
    const bus = await fixture.open({ streams: [stream] });
    const items = Array.from({ length: 300 }, (_, n) => ({
      type: n === 7 ? 'bad type' : 'n',
      data: n,
    }));
    const results = await bus.publishBatch(items);
    const ids = results.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value.messageId as string] : [],
    );
    expect(results[7]).toMatchObject({ reason: { code: 'ERR_BUS_INVALID_TYPE' } });
    expect(ids).toHaveLength(299);
    const history = await bus.getHistory({ source: 'redis', limit: 1000 });
    expect(history.map(({ data }) => data)).toEqual(
      items.map(({ data }) => data).filter((n) => n !== 7),
    );
    expect(new Set(ids).size).toBe(299);
  });

  test.each<[string, boolean | string[], string[]]>([
    ['by default all', true, ['a.one', 'a.two']],
    ['none with false', false, []],
    ['those of some patterns', ['*.two'], ['a.two']],
  ])('what is stored is published live too: %s', async (_, realtime, expected) => {
    const stream = streamFor('a.*', { realtime });
    const bus = await fixture.open({ streams: [stream] });
    const live: string[] = [];
    await bus.subscribe(['a.*', 'end'], (event) => live.push(event.type));
    for (const type of ['a.one', 'a.two']) {
      const { receivers, messageId } = await bus.publish(type, 1);
      expect(messageId).toMatch(MESSAGE_ID);
      expect(receivers).toBe(expected.includes(type) ? 1 : 0);
    }
    await bus.publish('end', 1);
    await eventually(() => live.at(-1) === 'end');
    expect(live).toEqual([...expected, 'end']);
  });

  test('with pubsub: false events are stored, or refused', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream], pubsub: false });
    const witness = await fixture.open();
    const live: unknown[] = [];
    await witness.subscribe('*', (event) => live.push(event.type));
    expect(await bus.publish('a', 1)).toMatchObject({ stream: stream.name, receivers: 0 });
    const noStream = { code: 'ERR_BUS_NO_STREAM' };
    expect(await rejection(bus.publish('b', 1))).toMatchObject({
      ...noStream,
      outcome: 'not_sent',
    });
    expect(await rejection(bus.publish('a', 1, { stream: false }))).toMatchObject(noStream);
    expect(await rejection(bus.subscribe('a', () => {}))).toMatchObject(noStream);
    const seen: unknown[] = [];
    await bus.subscribe('a', (event) => seen.push(event.data), { group: 'g', from: 'beginning' });
    await eventually(() => seen.length === 1);
    await witness.publish('end', 1);
    await eventually(() => live.length > 0);
    expect(live).toEqual(['end']);
  });

  test('a duplicate is neither stored nor published, and told where the first is', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    const other = await fixture.open({ streams: [stream] });
    const seen: string[] = [];
    await bus.subscribe('a', (event) => seen.push(event.id));
    const first = await bus.publish('a', 1, { id: 'once', deduplicate: true });
    expect(first.duplicate).toBe(false);
    for (const client of [bus, other]) {
      const again = await client.publish('a', 2, { id: 'once', deduplicate: { ttl: 60_000 } });
      expect(again).toMatchObject({
        eventId: 'once',
        duplicate: true,
        messageId: first.messageId,
        receivers: 0,
      });
    }
    const [twice, once] = await bus.publishBatch(
      ['twice', 'twice'].map((id) => ({ type: 'a', data: 1, id })),
      { deduplicate: true },
    );
    expect(twice).toMatchObject({ value: { duplicate: false } });
    expect(once).toMatchObject({ value: { duplicate: true } });
    // Without the option nobody looks for duplicates.
    expect(await bus.publish('a', 3, { id: 'once' })).not.toHaveProperty('duplicate');
    await eventually(() => seen.length === 3);
    expect(seen).toEqual(['once', 'twice', 'once']);
    expect((await bus.streams.info(stream.name)).length).toBe(3);
  });

  test('a duplicate is one for its ttl', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    const options = { id: 'brief', deduplicate: { ttl: 20 } };
    await bus.publish('a', 1, options);
    await eventually(async () => (await bus.publish('a', 2, options)).duplicate === false);
  });

  test.each<[string, object, string]>([
    ['deduplicate without an id', { deduplicate: true }, 'deduplicate'],
    [
      'deduplicate of what is not stored',
      { deduplicate: true, id: 'x', stream: false },
      'deduplicate',
    ],
    ['replicas of what is not stored', { replicas: 1, stream: false }, 'replicas'],
    ['a stream of the wrong kind', { stream: true }, 'stream'],
    ['a ttl of nothing', { id: 'x', deduplicate: { ttl: 0 } }, 'deduplicate.ttl'],
    ['too many replicas', { replicas: 101 }, 'replicas'],
  ])('options are refused: %s', async (_, options, path) => {
    const bus = await fixture.open({ streams: [streamFor('a')] });
    const error = await rejection(bus.publish('a', 1, options));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path, outcome: 'not_sent' });
    expect((await bus.streams.list())[0]?.length).toBe(0);
  });
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());

  test('too few replicas: it is stored all the same, and said so', async () => {
    const stream = streamFor('a');
    const bus = await fixture.open({ streams: [stream] });
    const error = await rejection(bus.publish('a', 1, { replicas: 1, timeout: 100 }));
    expect(error).toMatchObject({
      code: 'ERR_BUS_NOT_REPLICATED',
      outcome: 'unknown',
      messageId: expect.stringMatching(MESSAGE_ID),
    });
    expect(await bus.streams.info(stream.name)).toMatchObject({
      lastId: error.messageId,
      length: 1,
    });
  });

  test('replicas: as many as were asked for have it', async () => {
    const server = fixture.server as RedisServer;
    const replica = await RedisServer.start('--replicaof', '127.0.0.1', String(server.port));
    const copy = new RawRedis(replica.port);
    try {
      await raw.redis.config('SET', 'repl-diskless-sync-delay', '0');
      const stream = streamFor('a');
      const bus = await fixture.open({ streams: [stream] });
      await eventually(async () =>
        (await copy.redis.info('replication')).includes('master_link_status:up'),
      );
      const { messageId } = await bus.publish('a', 1, { replicas: 1 });
      expect((await copy.entries(stream.name)).map(({ id }) => id)).toEqual([messageId]);
      const error = await rejection(bus.publish('a', 2, { replicas: 2, timeout: 100 }));
      expect(error).toMatchObject({ code: 'ERR_BUS_NOT_REPLICATED', outcome: 'unknown' });
      expect((await raw.entries(stream.name)).at(-1)?.id).toBe(error.messageId);
    } finally {
      copy.close();
      await replica.stop();
    }
  });
});
