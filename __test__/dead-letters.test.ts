/** Handlers of groups that fail: retries, dead letters, and what can be done with those. */

import type { BusEvent, EventBusClient, GroupContext, StreamConfig } from '..';
import { type DeadLetterNotice, type EventBusError, NonRetryableError, RetryLater } from '..';
import { isDone, pendingOf, streamFor, type Wire, wireTo } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { rejection } from './support/rejection';
import { onBothTransports, onTransports } from './support/transports';

const EXACT = { initialDelay: 20, multiplier: 2, jitter: 'none' as const };
const FAST = { initialDelay: 1, jitter: 'none' as const };
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

function fail(value: unknown): never {
  throw value;
}

class StockError extends Error {
  override name = 'StockError';
  code = 'OUT_OF_STOCK';
}

/** The dead letters that a client announces. */
function lettersOf(bus: EventBusClient): DeadLetterNotice[] {
  const letters: DeadLetterNotice[] = [];
  bus.on('deadLetter', (letter) => letters.push(letter));
  return letters;
}

onBothTransports((bench) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => bench.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
  });

  /** A group whose handler always fails, of so many events that are given up by now. */
  async function failing(bus: EventBusClient, count: number, group = 'g') {
    const letters = lettersOf(bus);
    const sub = await bus.subscribe('n', ({ data }) => fail(new Error(`no ${data}`)), {
      group,
      from: 'beginning',
      maxRetries: 0,
    });
    for (const n of numbers(count)) await bus.publish('n', n);
    await eventually(() => letters.filter((letter) => letter.group === group).length === count);
    await sub.unsubscribe({ wait: true });
    return letters;
  }

  test('a failing handler is retried by the schedule, then the event is a dead letter', async () => {
    const bus = await open({ serviceName: 'shop' });
    const letters = lettersOf(bus);
    const errors: EventBusError[] = [];
    const at: number[] = [];
    const calls: [number, number][] = [];
    bus.on('error', (error) => errors.push(error));
    const handler = (_: BusEvent, { attempt, deliveryCount }: GroupContext) => {
      at.push(performance.now());
      calls.push([attempt, deliveryCount]);
      throw new StockError(`attempt ${attempt}`);
    };
    await bus.subscribe('order', handler, { group: 'stock', retry: EXACT, consumer: 'c-1' });
    const { eventId, messageId } = await bus.publish('order', { item: 'ox' }, { key: 'k' });
    await eventually(() => letters.length === 1);
    await eventually(() => isDone(bus, stream.name, 'stock'));
    expect(calls.map(([attempt]) => attempt)).toEqual([1, 2, 3, 4]);
    [20, 40, 80].forEach((delay, n) => {
      // Timers may fire up to a millisecond early.
      expect(at[n + 1]! - at[n]!).toBeGreaterThanOrEqual(delay - 1);
    });
    const error = {
      name: 'StockError',
      message: 'attempt 4',
      code: 'OUT_OF_STOCK',
      stack: expect.stringContaining('dead-letters.test.ts'),
    };
    const event = { id: eventId, type: 'order', data: { item: 'ox' } };
    const where = { stream: stream.name, group: 'stock', messageId, attempts: 4, reason: 'failed' };
    expect(letters).toMatchObject([{ ...where, event, error }]);
    expect(errors).toMatchObject([{ code: 'ERR_BUS_HANDLER_FAILED' }]);
    expect(errors[0]?.cause).toBeInstanceOf(StockError);
    const [letter, ...more] = await bus.deadLetters.list();
    expect(more).toEqual([]);
    expect(letter).toMatchObject({ ...where, event, error, consumer: 'c-1' });
    expect(letter?.event?.metadata).toMatchObject({ source: 'shop', key: 'k' });
    expect(new Date(letter?.time ?? '').toISOString()).toBe(letter?.time);
    expect(Math.abs(Date.parse(letter?.time ?? '') - Date.now())).toBeLessThan(60_000);
    expect(letter?.fields).toMatchObject({ eventId, eventType: 'order', data: '{"item":"ox"}' });
    expect(bus.getStats()).toMatchObject({
      eventsRetried: 3,
      eventsFailed: 1,
      eventsDeadLettered: 1,
      handlerErrors: 4,
      eventsDelivered: 0,
    });
  });

  test('a failing event does not hold up others', async () => {
    const bus = await open();
    const seen: number[] = [];
    await bus.subscribe(
      'n',
      ({ data }) => {
        if (data === 0) throw new Error('again');
        seen.push(data);
      },
      { group: 'g', concurrency: 1, retry: { initialDelay: 60_000, maxDelay: 60_000 } },
    );
    for (const n of numbers(20)) await bus.publish('n', n);
    await eventually(() => seen.length === 19);
    expect(seen).toEqual(numbers(20).slice(1));
    await eventually(async () => (await pendingOf(bus, stream.name, 'g')) === 1);
  });

  test.each<[string, unknown, object, number, string]>([
    ['NonRetryableError', new NonRetryableError('no'), {}, 1, 'not-retryable'],
    ['retryIf that says no', new Error('x'), { retryIf: () => false }, 1, 'not-retryable'],
    ['retryOnError: false', new Error('x'), { retryOnError: false }, 1, 'failed'],
    ['maxRetries: 0', new Error('x'), { maxRetries: 0 }, 1, 'failed'],
    ['retryIf that says yes', new NonRetryableError('x'), { retryIf: () => true }, 2, 'failed'],
    ['RetryLater', new RetryLater(5, 'soon'), {}, 2, 'failed'],
  ])('%s: tried as often as it should be', async (_, thrown, options, attempts, reason) => {
    const bus = await open();
    const letters = lettersOf(bus);
    let calls = 0;
    const handler = () => {
      calls += 1;
      throw thrown;
    };
    await bus.subscribe('a', handler, { group: 'g', maxRetries: 1, retry: FAST, ...options });
    await bus.publish('a', 1);
    await eventually(() => letters.length === 1);
    const { message } = thrown as Error;
    expect(letters).toMatchObject([{ attempts, reason, error: { message } }]);
    expect(calls).toBe(attempts);
  });

  test.each<[string, () => unknown, object]>([
    ['throws undefined', () => fail(undefined), { name: 'Error' }],
    ['throws null', () => fail(null), { name: 'Error' }],
    ['throws a text', () => fail('just a text'), { message: 'just a text' }],
    ['throws a frozen object', () => fail(Object.freeze({})), { name: 'Error' }],
    ['throws what cannot be shown', () => fail(Object.create(null)), { name: 'Error' }],
    ['rejects', () => Promise.reject(new TypeError('x')), { name: 'TypeError', message: 'x' }],
    ['rejects with undefined', () => Promise.reject(undefined), { name: 'Error' }],
    [
      'rejects after a while',
      () => new Promise((_, reject) => setImmediate(reject, 'late')),
      { message: 'late' },
    ],
    [
      'throws an error whose message cannot be read',
      () => fail(Object.defineProperty(new Error(), 'message', { get: () => fail('no') })),
      { name: 'Error' },
    ],
    [
      'throws in finally',
      async () => {
        try {
          await null;
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: that is the case
          throw new Error('finally');
        }
      },
      { message: 'finally' },
    ],
    [
      'returns a thenable that throws',
      () => Object.defineProperty({}, 'then', { value: () => fail(new Error('then')) }),
      { message: 'then' },
    ],
    [
      'returns an object whose then cannot be read',
      () => Object.defineProperty({}, 'then', { get: () => fail(new Error('get then')) }),
      { message: 'get then' },
    ],
    [
      'throws an error of megabytes',
      () => fail(new Error('é'.repeat(1 << 20))),
      { name: 'Error', message: expect.stringMatching(/^é{100,5000}$/) },
    ],
    ['throws half a character', () => fail(new Error('cut \ud83d')), { name: 'Error' }],
  ])('a handler that %s fails that call alone', async (_, handler, error) => {
    const bus = await open();
    const letters = lettersOf(bus);
    const seen: unknown[] = [];
    await bus.subscribe('a', handler, { group: 'g', maxRetries: 0 });
    await bus.subscribe('b', (event) => seen.push(event.data), { group: 'g' });
    await bus.publish('a', 1);
    await bus.publish('b', 2);
    await eventually(() => isDone(bus, stream.name, 'g'));
    await eventually(() => letters.length > 0);
    expect(seen).toEqual([2]);
    expect(letters).toMatchObject([{ reason: 'failed', attempts: 1, error }]);
    const [letter] = await bus.deadLetters.list({ stream: stream.name });
    expect(letter?.error).toEqual(letters[0]?.error);
  });

  test('a call that takes too long is aborted and tried again; its late result is ignored', async () => {
    const bus = await open();
    const gate = new Gate();
    const attempts: number[] = [];
    const reasons: unknown[] = [];
    await bus.subscribe(
      'a',
      async (_, { attempt, signal }) => {
        attempts.push(attempt);
        if (attempt > 1) return;
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        await gate.opened;
        throw new Error('late');
      },
      { group: 'g', timeout: 30, retry: FAST },
    );
    await bus.publish('a', 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(attempts).toEqual([1, 2]);
    expect(reasons).toMatchObject([{ code: 'ERR_BUS_HANDLER_TIMEOUT' }]);
    expect(bus.getStats()).toMatchObject({
      zombieHandlers: 1,
      eventsDelivered: 1,
      eventsRetried: 1,
    });
    gate.open();
    await eventually(() => bus.getStats().zombieHandlers === 0);
    expect(bus.getStats()).toMatchObject({ eventsFailed: 0, eventsDeadLettered: 0 });
  });

  test('one that always takes too long is a dead letter', async () => {
    const bus = await open();
    const letters = lettersOf(bus);
    const options = { group: 'g', timeout: 20, maxRetries: 1, retry: FAST };
    await bus.subscribe('a', () => new Promise(() => {}), options);
    await bus.publish('a', 1);
    await eventually(() => letters.length === 1);
    expect(letters).toMatchObject([
      { reason: 'failed', attempts: 2, error: { code: 'ERR_BUS_HANDLER_TIMEOUT' } },
    ]);
    await bus.disconnect({ timeout: 50 });
  });

  test('attempts go on where another member stopped', async () => {
    const [first, second] = [await open(), await open()];
    const calls: string[] = [];
    const retry = { initialDelay: 60_000, maxDelay: 60_000, jitter: 'none' as const };
    await first.subscribe('a', (_, { attempt }) => fail(calls.push(`first ${attempt}`)), {
      group: 'g',
      retry,
    });
    await first.publish('a', 1);
    await eventually(() => first.getStats().eventsRetried === 1);
    await first.disconnect();
    await second.subscribe('a', (_, { attempt }) => calls.push(`second ${attempt}`), {
      group: 'g',
    });
    await eventually(() => isDone(second, stream.name, 'g'));
    expect(calls).toEqual(['first 1', 'second 2']);
  });

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
    const letter = await bus.deadLetters.get(id);
    const replayed = await bus.deadLetters.replay(id);
    await eventually(() => seen.length === 1);
    expect(seen).toEqual([`${letter?.event?.id} ${replayed?.messageId} 1`]);
    expect(replayed?.messageId).not.toBe(letter?.messageId);
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

  test('replayAll gives back all of a group, or the oldest of them', async () => {
    const bus = await open();
    await failing(bus, 4);
    expect(await bus.deadLetters.replayAll({ group: 'nobody' })).toBe(0);
    expect(await bus.deadLetters.replayAll({ group: 'g', limit: 1 })).toBe(1);
    expect(await bus.deadLetters.replayAll({ stream: stream.name })).toBe(3);
    expect(await bus.deadLetters.replayAll()).toBe(0);
    const seen: number[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g', concurrency: 1 });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test('one that fails again is a dead letter again', async () => {
    const bus = await open();
    const [letter] = await failing(bus, 1);
    expect(await bus.deadLetters.replayAll()).toBe(1);
    const again = new Gate<DeadLetterNotice>();
    bus.on('deadLetter', (notice) => again.open(notice));
    await bus.subscribe('n', () => fail(new Error('still')), { group: 'g', maxRetries: 0 });
    const notice = await again.opened;
    expect(notice).toMatchObject({ attempts: 1, error: { message: 'still' } });
    expect(notice.event?.id).toBe(letter?.event?.id);
    expect(notice.messageId).not.toBe(letter?.messageId);
  });

  test('without dead letters it is announced, and gone', async () => {
    const bus = await open({ deadLetter: { enabled: false } });
    const errors: EventBusError[] = [];
    bus.on('error', (error) => errors.push(error));
    const letters = await failing(bus, 1);
    expect(letters).toMatchObject([{ group: 'g', reason: 'failed' }]);
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
    const letters = lettersOf(bus);
    const seen: unknown[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    for (const n of [1, -1, 2]) await foreign.publish('n', n);
    await eventually(() => isDone(bus, stream.name, 'g'));
    await eventually(() => letters.length > 0);
    expect(seen.sort()).toEqual([1, 2]);
    expect(letters).toMatchObject([{ attempts: 1, reason: 'not-retryable', event: { data: -1 } }]);
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

onTransports(['redis'], (bench) => {
  let wire: Wire;
  beforeEach(() => {
    wire = wireTo(bench);
  });
  afterEach(() => wire.close());

  test('a dead letter lies in its stream with the original fields and its own', async () => {
    const stream = streamFor('*');
    const config = { streams: [stream], deadLetter: { suffix: ':failed' } };
    const bus = await bench.open(config);
    const letters = lettersOf(bus);
    const options = { group: 'g', consumer: 'c-1', maxRetries: 1, retry: FAST };
    await bus.subscribe('a', () => fail(new StockError('none left')), options);
    await bus.publish('a', { n: 1 }, { key: 'k' });
    await eventually(() => letters.length === 1);
    const [original] = await wire.entries(stream.name);
    const [letter] = await wire.entries(`${stream.name}:failed`);
    expect(letter?.fields.slice(0, original?.fields.length)).toEqual(original?.fields);
    const own = letter?.fields.slice(original?.fields.length);
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
    expect((await wire.redis.xpending(stream.name, 'g'))[0]).toBe(0);
  });

  test('what is no event is a dead letter of each group, and the loop goes on', async () => {
    const stream = streamFor('*');
    const bus = await bench.open({ streams: [stream] });
    const letters = lettersOf(bus);
    const seen: string[] = [];
    for (const group of ['g', 'h']) {
      await bus.subscribe('*', (event) => seen.push(`${group} ${event.type}`), { group });
    }
    const id = await wire.add(stream.name, { data: '{}', note: 'no type' });
    await wire.add(stream.name, { eventType: 'a', data: '{"cut' });
    await wire.add(stream.name, { eventType: 'a' });
    await bus.publish('good', 1);
    await eventually(() => letters.length === 6 && seen.length === 2);
    expect(seen.sort()).toEqual(['g good', 'h good']);
    const of = letters.find(({ messageId, group }) => messageId === id && group === 'g');
    expect(of).toMatchObject({ event: null, reason: 'undecodable', stream: stream.name });
    const [letter] = await bus.deadLetters.list({ stream: stream.name });
    expect(letter).toMatchObject({ event: null, fields: { data: '{}', note: 'no type' } });
    for (const group of ['g', 'h']) await eventually(() => isDone(bus, stream.name, group));
  });

  test('no room for a dead letter: the event stays, until there is', async () => {
    const stream = streamFor('*');
    const bus = await bench.open({ streams: [stream] });
    const letters = lettersOf(bus);
    const errors: EventBusError[] = [];
    const gate = new Gate();
    bus.on('error', (error) => errors.push(error));
    const handler = async () => {
      await gate.opened;
      throw new Error('no');
    };
    await bus.subscribe('a', handler, { group: 'g', maxRetries: 0 });
    await bus.publish('a', 1);
    await wire.redis.config('SET', 'maxmemory', '1');
    try {
      gate.open();
      await eventually(() => errors.some(({ code }) => code === 'ERR_BUS_SERVER_OOM'));
      expect(await bus.streams.pending(stream.name, 'g')).toHaveLength(1);
      expect(letters).toEqual([]);
    } finally {
      await wire.redis.config('SET', 'maxmemory', '0');
    }
    await eventually(() => letters.length === 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(await bus.deadLetters.count(stream.name)).toBe(1);
  });
});
