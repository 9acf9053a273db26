/** Observers: clients that read and administer, and create nothing. */

import { EventBusClient, type EventBusConfig } from '..';
import { type RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { rejection } from './support/rejection';
import { keepingLogger, onBothTransports, onTransports } from './support/transports';

const OPTIONS = { code: 'ERR_BUS_INVALID_OPTIONS' };
const fail = () => {
  throw new Error('no');
};

/** What is told of a stream without the ages, which grow from one question to the next. */
const ageless = (info: unknown): unknown =>
  JSON.parse(
    JSON.stringify(info, (key, value) =>
      ['idle', 'oldestPendingAge'].includes(key) ? typeof value : value,
    ),
  );

onBothTransports((fixture) => {
  /** A service with one stream, whose group has read one event, given up one and not read one. */
  async function service() {
    const stream = streamFor('a.*', { consumerGroups: ['g', 'idle'] });
    const bus = await fixture.open({ streams: [stream], serviceName: 'service' });
    await bus.publish('a.good', 1);
    const sub = await bus.subscribe('a.*', ({ type }) => type === 'a.bad' && fail(), {
      group: 'g',
      maxRetries: 0,
    });
    await bus.publish('a.bad', 2);
    await eventually(async () => (await bus.deadLetters.count()) === 1);
    await sub.unsubscribe({ wait: true });
    // What comes while a group is being left may be read and handed back.
    await eventually(async () => {
      const { groups } = await bus.streams.info(stream.name);
      return groups.every(({ consumers }) => consumers.length === 0);
    });
    await bus.publish('a.good', 3);
    return { bus, name: stream.name };
  }

  test('it finds streams that it was not configured with', async () => {
    const [{ name }, other] = [await service(), await service()];
    const bus = await fixture.open({ observe: true });
    const listed = await bus.streams.list();
    expect(listed.map((stream) => stream.name)).toEqual([name, other.name].sort());
    expect(ageless(listed[0])).toEqual(ageless(await bus.streams.info(name)));
    expect(listed[0]).toMatchObject({ length: 3, deadLetters: 1 });
    const warnings: string[] = [];
    bus.on('warning', ({ code }) => warnings.push(code));
    expect(await bus.streams.list({ limit: 1 })).toHaveLength(1);
    await eventually(() => warnings.length === 1);
    expect(warnings).toEqual(['STREAMS_NOT_LISTED']);
    const scanned = (await bus.streams.list({ scan: true })).map((stream) => stream.name);
    expect(scanned).toEqual(expect.arrayContaining([name, other.name]));
    expect(scanned.filter((one) => one.endsWith(':dlq'))).toEqual([]);
    // Others have the streams of their configuration, unless they ask for all.
    expect(await (await fixture.open()).streams.list()).toEqual([]);
  });

  test('it administers what it was not configured with', async () => {
    const { bus: running, name } = await service();
    const bus = await fixture.open({ observe: true });
    expect(await bus.streams.pending(name, 'g')).toEqual([]);
    expect(await bus.streams.exists(name)).toBe(true);
    const [letter] = await bus.deadLetters.list();
    expect(letter).toMatchObject({ stream: name, group: 'g', event: { type: 'a.bad' } });
    expect(await bus.deadLetters.count(name)).toBe(1);
    const seen: unknown[] = [];
    await bus.replay({ stream: name, handler: ({ data }) => seen.push(data) });
    await bus.replay({ pattern: 'a.good', handler: ({ data }) => seen.push(data) });
    expect(seen).toEqual([1, 2, 3, 1, 3]);
    const history = await bus.getHistory({ type: 'a.*', source: 'redis' });
    expect(history.map(({ data }) => data)).toEqual([1, 2, 3]);
    expect(await bus.getEvent('unknown')).toBeNull();
    expect(await bus.deadLetters.replay(letter!.id)).toMatchObject({
      messageId: expect.any(String),
    });
    await bus.streams.setPosition(name, 'g', 'new');
    expect(await bus.streams.recover({ group: 'g' })).toMatchObject({ checked: 0 });
    expect(await bus.streams.removeGroup(name, 'idle')).toBe(true);
    expect(await bus.streams.trim(name, { maxLength: 1 })).toBe(3);
    expect(await running.streams.info(name)).toMatchObject({ length: 1, groups: [{ name: 'g' }] });
  });

  test('it sees live events, and refuses what would write', async () => {
    const { bus: running } = await service();
    const bus = await fixture.open({ observe: true });
    const seen: unknown[] = [];
    await bus.subscribe('a.*', ({ data }) => seen.push(data));
    await running.publish('a.good', 4);
    await eventually(() => seen.length === 1);
    expect(await rejection(bus.subscribe('a.*', () => {}, { group: 'g' }))).toMatchObject({
      ...OPTIONS,
      message: expect.stringContaining('an observer joins no group'),
    });
    expect(await rejection(bus.events('a.*', { group: 'g' }).ready())).toMatchObject(OPTIONS);
    for (const publish of [
      () => bus.publish('a.good', 5),
      () => bus.publish('live', 5),
      () => bus.publish('live', 5, { stream: 'anywhere' }),
      () => bus.publishToRoom('r', 'live', 5),
    ]) {
      expect(await rejection(publish())).toMatchObject({
        ...OPTIONS,
        outcome: 'not_sent',
        message: expect.stringContaining('an observer publishes nothing'),
      });
    }
    expect(await rejection(bus.joinRoom('r'))).toMatchObject(OPTIONS);
    expect(await bus.joinUser('u')).toBe(true);
    expect(await bus.getRoomMembers('r')).toEqual([]);
  });

  test('connecting makes none of its own streams', async () => {
    const stream = streamFor('b', { maxLength: 1, safeTrim: false });
    const bus = await fixture.open({ observe: true, streams: [stream] });
    expect(await bus.streams.exists(stream.name)).toBe(false);
    expect(await bus.streams.list()).toMatchObject([{ name: stream.name, length: 0 }]);
    // Others do not find it: an observer registers nothing.
    expect(await (await fixture.open({ observe: true })).streams.list()).toEqual([]);
  });
});

test.each<[string, EventBusConfig, string]>([
  [
    'groups',
    { redis: {}, streams: [{ name: 's', events: '*', consumerGroups: ['g'] }] },
    'streams[0].consumerGroups',
  ],
  ['hybrid mode', { redis: {}, mode: 'hybrid' }, 'mode'],
])('an observer without %s', (_, config, path) => {
  const create = () => new EventBusClient({ observe: true, logger: keepingLogger(), ...config });
  expect(create).toThrow(expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG' }));
  expect(create).toThrow(path);
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());

  /** Everything that the server holds, as it would be moved to another one. */
  async function contents(): Promise<Record<string, unknown>> {
    const all: Record<string, unknown> = {};
    for (const key of await raw.redis.keys('*')) all[key] = await raw.redis.dumpBuffer(key);
    return all;
  }

  /** How often each command that writes was called. */
  async function writes(): Promise<Record<string, string>> {
    const info = await raw.redis.info('commandstats');
    const lines = info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
    const called = [...lines].map(([, name = '', calls = '']) => [name, calls] as const);
    const details = (await raw.redis.call('COMMAND', 'INFO', ...called.map(([name]) => name))) as [
      string,
      number,
      string[],
    ][];
    return Object.fromEntries(called.filter((_, at) => details[at]?.[2]?.includes('write')));
  }

  test('nothing at all is written by looking', async () => {
    const stream = streamFor('a.*', { consumerGroups: ['g'] });
    const common = { channelPrefix: 'looking:', persistence: {} };
    const running = await fixture.open({ ...common, streams: [stream] });
    for (const n of [1, 2, 3]) await running.publish('a.x', n);
    const { eventId } = await running.publish('a.x', 4);
    await running.disconnect();
    // Somebody whose time in the room is over.
    await raw.redis.zadd('looking:presence:r', 1, 'gone:x');
    const before = [await contents(), await writes()];
    const bus = await fixture.open({
      ...common,
      observe: true,
      streams: [streamFor('b', { maxLength: 1 }), { ...stream, maxLength: 1, consumerGroups: [] }],
    });
    await bus.subscribe('*', () => {});
    await bus.joinUser('u');
    await rejection(bus.publish('a.x', 5));
    await rejection(bus.subscribe('a.*', () => {}, { group: 'g' }));
    await rejection(bus.joinRoom('r'));
    await bus.streams.list({ scan: true });
    await bus.streams.info(stream.name);
    await bus.streams.exists(stream.name);
    await bus.streams.pending(stream.name, 'g');
    await bus.deadLetters.list();
    await bus.deadLetters.count();
    expect(await bus.getEvent(eventId)).toMatchObject({ data: 4 });
    expect(await bus.getHistory({ type: 'a.x' })).toHaveLength(4);
    expect(await bus.getRoomMembers('r')).toEqual([]);
    const seen: unknown[] = [];
    await bus.replay({ stream: stream.name, handler: ({ data }) => seen.push(data) });
    expect(seen.length).toBeGreaterThan(0);
    await bus.healthCheck();
    await bus.metrics();
    await bus.disconnect();
    expect([await contents(), await writes()]).toEqual(before);
  });

  test('the registry has one entry for each stream, by the prefix of the channels', async () => {
    const [a, b] = [streamFor(['a', 'a.*']), streamFor('b')];
    const channelPrefix = 'registry:';
    const first = await fixture.open({ streams: [a, b], channelPrefix });
    const read = () => raw.redis.hgetall('registry:oxbus:streams');
    await eventually(async () => Object.keys(await read()).length === 2);
    expect((await read())[a.name]).toMatch(/^\d{13} \["a","a\.\*"\]$/);
    await first.disconnect();
    await raw.redis.hset('registry:oxbus:streams', a.name, '1 []');
    // Another client with that stream says so again.
    await fixture.open({ streams: [a], channelPrefix });
    await eventually(async () => (await read())[a.name] !== '1 []');
    expect(Object.keys(await read()).sort()).toEqual([a.name, b.name].sort());
    // It is what is asked for: nothing else names the streams.
    await raw.redis.del('registry:oxbus:streams');
    const bus = await fixture.open({ observe: true, channelPrefix });
    expect(await bus.streams.list()).toEqual([]);
  });
});
