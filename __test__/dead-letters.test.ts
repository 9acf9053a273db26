/** Dead letters: where they lie, and what can be done with them. */

import type {
  BusEvent,
  DeadLetterNotice,
  EventBusClient,
  EventBusError,
  GroupContext,
  StreamConfig,
} from '..';
import {
  deadLettersOf,
  isDone,
  numbers,
  type RawRedis,
  rawRedisOf,
  streamFor,
} from './support/durable';
import { eventually, Gate } from './support/eventually';
import { FAST, fail, StockError } from './support/failures';
import { rejection } from './support/rejection';
import { onBothTransports, onTransports } from './support/transports';

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
  });

  /** A group whose handler always fails, of so many events that are given up by now. */
  async function failing(bus: EventBusClient, count: number, group = 'g') {
    const deadLetters = deadLettersOf(bus);
    const sub = await bus.subscribe('n', ({ data }) => fail(new Error(`no ${data}`)), {
      group,
      from: 'beginning',
      maxRetries: 0,
    });
    for (const n of numbers(count)) await bus.publish('n', n);
    await eventually(
      () => deadLetters.filter((deadLetter) => deadLetter.group === group).length === count,
    );
    await sub.unsubscribe({ wait: true });
    return deadLetters;
  }

  test('dead letters are listed in pages, counted, and found by their id', async () => {
    const [orders, photos] = [streamFor('n'), streamFor('p')];
    const bus = await open({ streams: [orders, photos] });
    await failing(bus, 5);
    const all = await bus.deadLetters.list();
    expect(all.map(({ event }) => event?.data)).toEqual([0, 1, 2, 3, 4]);
    expect(new Set(all.map(({ id }) => id)).size).toBe(5);
    const page = await bus.deadLetters.list({ stream: orders.name, limit: 2 });
    expect(page).toEqual(all.slice(0, 2));
    const after = page[1]?.id as string;
    expect(await bus.deadLetters.list({ after, limit: 2 })).toEqual(all.slice(2, 4));
    expect(await bus.deadLetters.list({ stream: photos.name })).toEqual([]);
    expect(await bus.deadLetters.get(after)).toEqual(all[1]);
    expect(await bus.deadLetters.count()).toBe(5);
    expect(await bus.deadLetters.count(orders.name)).toBe(5);
    expect(await bus.deadLetters.count(photos.name)).toBe(0);
    expect((await bus.streams.info(orders.name)).deadLetters).toBe(5);
    expect(await bus.deadLetters.remove(after)).toBe(true);
    expect(await bus.deadLetters.remove(after)).toBe(false);
    expect(await bus.deadLetters.get(after)).toBeNull();
    expect(await bus.deadLetters.purge(orders.name)).toBe(4);
    expect(await bus.deadLetters.purge(orders.name)).toBe(0);
    expect(await bus.deadLetters.count()).toBe(0);
  });

  test('replay gives an event back to the group that failed, and to no other', async () => {
    const bus = await open();
    await failing(bus, 1);
    const seen: string[] = [];
    const others: unknown[] = [];
    await bus.subscribe('n', (_, ctx) => others.push(ctx.group), { group: 'h' });
    const id = (await bus.deadLetters.list())[0]?.id as string;
    const handler = (event: BusEvent, ctx: GroupContext) =>
      seen.push(`${event.id} ${ctx.messageId} ${ctx.attempt}`);
    await bus.subscribe('n', handler, { group: 'g' });
    const deadLetter = await bus.deadLetters.get(id);
    const replayed = await bus.deadLetters.replay(id);
    await eventually(() => seen.length === 1);
    expect(seen).toEqual([`${deadLetter?.event?.id} ${replayed?.messageId} 1`]);
    expect(replayed?.messageId).not.toBe(deadLetter?.messageId);
    await eventually(() => isDone(bus, stream.name, 'h'));
    expect(others).toEqual([]);
    expect(await bus.deadLetters.count()).toBe(0);
    expect(await bus.deadLetters.replay(id)).toBeNull();
  });

  test("replay to: 'stream' gives it to all groups", async () => {
    const bus = await open();
    await failing(bus, 1);
    const seen: unknown[] = [];
    for (const group of ['g', 'h']) {
      await bus.subscribe('n', (_, ctx) => seen.push(ctx.group), { group });
    }
    const id = (await bus.deadLetters.list())[0]?.id as string;
    await bus.deadLetters.replay(id, { to: 'stream' });
    await eventually(() => seen.length === 2);
    expect(seen.sort()).toEqual(['g', 'h']);
    expect(await bus.deadLetters.count()).toBe(0);
  });

  test('replayAll gives back all of a group or a reason, or the oldest of them', async () => {
    const bus = await open();
    await failing(bus, 4);
    const nobody = bus.deadLetters.replayAll({ group: 'nobody' });
    expect(await rejection(nobody)).toMatchObject({ code: 'ERR_BUS_NO_GROUP' });
    expect(await bus.deadLetters.replayAll({ group: 'g', limit: 1 })).toBe(1);
    expect(await bus.deadLetters.replayAll({ reason: 'crashed' })).toBe(0);
    expect(await bus.deadLetters.replayAll({ stream: stream.name, reason: 'failed' })).toBe(3);
    expect(await bus.deadLetters.replayAll()).toBe(0);
    const seen: number[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g', concurrency: 1 });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test('one that fails again is a dead letter again', async () => {
    const bus = await open();
    const [deadLetter] = await failing(bus, 1);
    expect(await bus.deadLetters.replayAll()).toBe(1);
    const again = new Gate<DeadLetterNotice>();
    bus.on('deadLetter', (notice) => again.open(notice));
    await bus.subscribe('n', () => fail(new Error('still')), { group: 'g', maxRetries: 0 });
    const notice = await again.opened;
    expect(notice).toMatchObject({ attempts: 1, error: { message: 'still' } });
    expect(notice.event?.id).toBe(deadLetter?.event?.id);
    expect(notice.messageId).not.toBe(deadLetter?.messageId);
  });

  test('without dead letters it is announced, and gone', async () => {
    const bus = await open({ deadLetter: { enabled: false } });
    const errors: EventBusError[] = [];
    bus.on('error', (error) => errors.push(error));
    const deadLetters = await failing(bus, 1);
    expect(deadLetters).toMatchObject([{ group: 'g', reason: 'failed' }]);
    expect(errors.map(({ code }) => code)).toContain('ERR_BUS_HANDLER_FAILED');
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(await bus.deadLetters.count()).toBe(0);
    expect(bus.getStats()).toMatchObject({ eventsFailed: 1, eventsDeadLettered: 0 });
  });

  test('no more are kept than about so many', async () => {
    const bus = await open({ deadLetter: { maxLength: 10 } });
    await failing(bus, 250);
    const count = await bus.deadLetters.count();
    expect(count).toBeGreaterThanOrEqual(10);
    // Redis trims by nodes of up to 100 entries.
    expect(count).toBeLessThanOrEqual(110);
    const [oldest] = await bus.deadLetters.list();
    expect(oldest?.event?.data).toBeGreaterThan(100);
  });

  test('received data that does not fit a schema is a dead letter, uncalled', async () => {
    const positive = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (value: unknown) =>
          Number(value) > 0 ? { value } : { issues: [{ message: 'not positive' }] },
      },
    };
    const [bus, foreign] = [
      await open({ schemas: { n: positive }, validateOnReceive: true }),
      await open(),
    ];
    const deadLetters = deadLettersOf(bus);
    const seen: unknown[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    for (const n of [1, -1, 2]) await foreign.publish('n', n);
    await eventually(() => isDone(bus, stream.name, 'g'));
    await eventually(() => deadLetters.length > 0);
    expect(seen.sort()).toEqual([1, 2]);
    expect(deadLetters).toMatchObject([
      { attempts: 1, reason: 'not-retryable', event: { data: -1 } },
    ]);
  });

  test.each<[string, string, (bus: any) => Promise<unknown>]>([
    ['list of a limit of 0', 'limit', (bus) => bus.deadLetters.list({ limit: 0 })],
    ['list of an unknown key', 'size', (bus) => bus.deadLetters.list({ size: 1 })],
    ['list after what is no id', 'after', (bus) => bus.deadLetters.list({ after: 'x' })],
    ['replay to nobody', 'to', (bus) => bus.deadLetters.replay('s:dlq:1-0', { to: 'all' })],
    ['get of no text', 'id', (bus) => bus.deadLetters.get(5)],
    ['purge of no stream', 'stream', (bus) => bus.deadLetters.purge()],
  ])('refused: %s', async (_, path, call) => {
    const error = await rejection(call(await open()));
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
    expect(error.stack?.split('\n')[1]).toContain('dead-letters.test.ts');
  });
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());

  test('a dead letter lies in its stream with the original fields and its own', async () => {
    const stream = streamFor('*');
    const config = { streams: [stream], deadLetter: { suffix: ':failed' } };
    const bus = await fixture.open(config);
    const deadLetters = deadLettersOf(bus);
    const options = { group: 'g', consumer: 'c-1', maxRetries: 1, retry: FAST };
    await bus.subscribe('a', () => fail(new StockError('none left')), options);
    await bus.publish('a', { n: 1 }, { key: 'k' });
    await eventually(() => deadLetters.length === 1);
    const [original] = await raw.entries(stream.name);
    const [deadLetter] = await raw.entries(`${stream.name}:failed`);
    expect(deadLetter?.fields.slice(0, original?.fields.length)).toEqual(original?.fields);
    const own = deadLetter?.fields.slice(original?.fields.length);
    expect(own).toEqual([
      ['dlq-id', original?.id],
      ['dlq-stream', stream.name],
      ['dlq-group', 'g'],
      ['dlq-consumer', 'c-1'],
      ['dlq-attempts', '2'],
      ['dlq-error', expect.any(String)],
      ['dlq-reason', 'failed'],
      ['dlq-time', expect.stringMatching(/^\d{13}$/)],
    ]);
    expect(JSON.parse(own?.[5]?.[1] ?? '')).toEqual({
      name: 'StockError',
      message: 'none left',
      code: 'OUT_OF_STOCK',
      stack: expect.stringContaining('dead-letters.test.ts'),
    });
    expect((await raw.redis.xpending(stream.name, 'g'))[0]).toBe(0);
  });

  test('what is no event is a dead letter of each group, and the loop goes on', async () => {
    const stream = streamFor('*');
    const bus = await fixture.open({ streams: [stream] });
    const deadLetters = deadLettersOf(bus);
    const seen: string[] = [];
    for (const group of ['g', 'h']) {
      await bus.subscribe('*', (event) => seen.push(`${group} ${event.type}`), { group });
    }
    const id = await raw.add(stream.name, { data: '{}', note: 'no type' });
    await raw.add(stream.name, { eventType: 'a', data: '{"cut' });
    await raw.add(stream.name, { eventType: 'a' });
    await bus.publish('good', 1);
    await eventually(() => deadLetters.length === 6 && seen.length === 2);
    expect(seen.sort()).toEqual(['g good', 'h good']);
    const of = deadLetters.find(({ messageId, group }) => messageId === id && group === 'g');
    expect(of).toMatchObject({ event: null, reason: 'undecodable', stream: stream.name });
    const [deadLetter] = await bus.deadLetters.list({ stream: stream.name });
    expect(deadLetter).toMatchObject({ event: null, fields: { data: '{}', note: 'no type' } });
    for (const group of ['g', 'h']) await eventually(() => isDone(bus, stream.name, group));
  });

  test('no room for a dead letter: the event stays, until there is', async () => {
    const stream = streamFor('*');
    const bus = await fixture.open({ streams: [stream] });
    const deadLetters = deadLettersOf(bus);
    const errors: EventBusError[] = [];
    const gate = new Gate();
    bus.on('error', (error) => errors.push(error));
    const handler = async () => {
      await gate.opened;
      throw new Error('no');
    };
    await bus.subscribe('a', handler, { group: 'g', maxRetries: 0 });
    await bus.publish('a', 1);
    await raw.redis.config('SET', 'maxmemory', '1');
    try {
      gate.open();
      await eventually(() => errors.some(({ code }) => code === 'ERR_BUS_SERVER_OOM'));
      expect(await bus.streams.pending(stream.name, 'g')).toHaveLength(1);
      expect(deadLetters).toEqual([]);
    } finally {
      await raw.redis.config('SET', 'maxmemory', '0');
    }
    await eventually(() => deadLetters.length === 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(await bus.deadLetters.count(stream.name)).toBe(1);
  });
});
