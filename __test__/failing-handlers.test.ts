/** Handlers of groups that fail: what is retried, when, and with which error it ends. */

import type { BusEvent, EventBusError, GroupContext, StreamConfig } from '..';
import { NonRetryableError, RetryLater } from '..';
import { deadLettersOf, isDone, numbers, pendingOf, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { FAST, fail, StockError } from './support/failures';
import { onBothTransports } from './support/transports';

const EXACT = { initialDelay: 20, multiplier: 2, jitter: 'none' as const };

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
  });

  test('a failing handler is retried by the schedule, then the event is a dead letter', async () => {
    const bus = await open({ serviceName: 'shop' });
    const deadLetters = deadLettersOf(bus);
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
    await eventually(() => deadLetters.length === 1);
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
      stack: expect.stringContaining('failing-handlers.test.ts'),
    };
    const event = { id: eventId, type: 'order', data: { item: 'ox' } };
    const where = { stream: stream.name, group: 'stock', messageId, attempts: 4, reason: 'failed' };
    expect(deadLetters).toMatchObject([{ ...where, event, error }]);
    expect(errors).toMatchObject([{ code: 'ERR_BUS_HANDLER_FAILED' }]);
    expect(errors[0]?.cause).toBeInstanceOf(StockError);
    const [deadLetter, ...more] = await bus.deadLetters.list();
    expect(more).toEqual([]);
    expect(deadLetter).toMatchObject({ ...where, event, error, consumer: 'c-1' });
    expect(deadLetter?.event?.metadata).toMatchObject({ source: 'shop', key: 'k' });
    expect(new Date(deadLetter?.time ?? '').toISOString()).toBe(deadLetter?.time);
    expect(Math.abs(Date.parse(deadLetter?.time ?? '') - Date.now())).toBeLessThan(60_000);
    expect(deadLetter?.fields).toMatchObject({
      eventId,
      eventType: 'order',
      data: '{"item":"ox"}',
    });
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
    const deadLetters = deadLettersOf(bus);
    let calls = 0;
    const handler = () => {
      calls += 1;
      throw thrown;
    };
    await bus.subscribe('a', handler, { group: 'g', maxRetries: 1, retry: FAST, ...options });
    await bus.publish('a', 1);
    await eventually(() => deadLetters.length === 1);
    const { message } = thrown as Error;
    expect(deadLetters).toMatchObject([{ attempts, reason, error: { message } }]);
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
    const deadLetters = deadLettersOf(bus);
    const seen: unknown[] = [];
    await bus.subscribe('a', handler, { group: 'g', maxRetries: 0 });
    await bus.subscribe('b', (event) => seen.push(event.data), { group: 'g' });
    await bus.publish('a', 1);
    await bus.publish('b', 2);
    await eventually(() => isDone(bus, stream.name, 'g'));
    await eventually(() => deadLetters.length > 0);
    expect(seen).toEqual([2]);
    expect(deadLetters).toMatchObject([{ reason: 'failed', attempts: 1, error }]);
    const [deadLetter] = await bus.deadLetters.list({ stream: stream.name });
    expect(deadLetter?.error).toEqual(deadLetters[0]?.error);
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
    const deadLetters = deadLettersOf(bus);
    const options = { group: 'g', timeout: 20, maxRetries: 1, retry: FAST };
    await bus.subscribe('a', () => new Promise(() => {}), options);
    await bus.publish('a', 1);
    await eventually(() => deadLetters.length === 1);
    expect(deadLetters).toMatchObject([
      { reason: 'failed', attempts: 2, error: { code: 'ERR_BUS_HANDLER_TIMEOUT' } },
    ]);
    await bus.disconnect({ timeout: 50 });
  });

  test('attempts go on where another member stopped, after the delay', async () => {
    const [first, second] = [await open(), await open()];
    const calls: string[] = [];
    const retry = { initialDelay: 1500, maxDelay: 1500, jitter: 'none' as const };
    await first.subscribe('a', (_, { attempt }) => fail(calls.push(`first ${attempt}`)), {
      group: 'g',
      retry,
    });
    const before = performance.now();
    await first.publish('a', 1);
    await eventually(() => first.getStats().eventsRetried === 1);
    await first.disconnect();
    await second.subscribe('a', (_, { attempt }) => calls.push(`second ${attempt}`), {
      group: 'g',
    });
    await eventually(() => isDone(second, stream.name, 'g'));
    expect(calls).toEqual(['first 1', 'second 2']);
    expect(performance.now() - before).toBeGreaterThanOrEqual(1500);
  });
});
