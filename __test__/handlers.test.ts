import {
  type EventBusError,
  HandlerError,
  NonRetryableError,
  RetryLater,
  TimeoutError,
  ValidationError,
} from '..';
import { eventually, Gate } from './support/eventually';
import { fail } from './support/failures';
import { keepingLogger, onBothTransports } from './support/transports';

const EXACT = { initialDelay: 20, multiplier: 2, jitter: 'none' as const };

onBothTransports((fixture) => {
  test('no more handlers run at once than concurrency allows', async () => {
    const bus = await fixture.open();
    const gates: Gate[] = [];
    let running = 0;
    let most = 0;
    let done = 0;
    await bus.subscribe(
      'a',
      async () => {
        running += 1;
        most = Math.max(most, running);
        const gate = new Gate();
        gates.push(gate);
        await gate.opened;
        running -= 1;
        done += 1;
      },
      { concurrency: 3 },
    );
    await Promise.all(Array.from({ length: 10 }, (_, n) => bus.publish('a', n)));
    await eventually(() => running === 3);
    while (done < 10) {
      await eventually(() => gates.length > 0);
      gates.shift()?.open();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(most).toBe(3);
  });

  test.each<[string, () => unknown]>([
    ['throws an Error', () => fail(new Error('x'))],
    ['throws undefined', () => fail(undefined)],
    ['throws null', () => fail(null)],
    ['throws a text', () => fail('x')],
    ['throws a frozen object', () => fail(Object.freeze({}))],
    ['throws what cannot be shown', () => fail(Object.create(null))],
    ['rejects with an Error', () => Promise.reject(new Error('x'))],
    ['rejects with undefined', () => Promise.reject(undefined)],
    ['rejects after a while', () => new Promise((_, reject) => setImmediate(reject, 'late'))],
    [
      'returns a thenable that settles twice',
      () =>
        Object.defineProperty({}, 'then', {
          value: (resolve: () => void, reject: (e: unknown) => void) => {
            reject(new Error('first'));
            resolve();
            throw new Error('third');
          },
        }),
    ],
    [
      'throws an error whose message cannot be read',
      () => fail(Object.defineProperty(new Error(), 'message', { get: () => fail('no') })),
    ],
    [
      'throws in finally',
      async () => {
        try {
          await null;
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: that is the case
          throw new Error('x');
        }
      },
    ],
    [
      'returns a thenable that throws',
      () => Object.defineProperty({}, 'then', { value: () => fail(new Error('x')) }),
    ],
    [
      'returns a thenable that rejects',
      () =>
        Object.defineProperty({}, 'then', {
          value: (_: unknown, reject: (e: unknown) => void) => reject(new Error('x')),
        }),
    ],
    [
      'returns an object whose then cannot be read',
      () => Object.defineProperty({}, 'then', { get: () => fail(new Error('x')) }),
    ],
  ])('a handler that %s fails alone', async (_, handler) => {
    const bus = await fixture.open();
    const errors: EventBusError[] = [];
    const seen: unknown[] = [];
    bus.on('error', (error) => errors.push(error));
    await bus.subscribe('a', handler, { retryOnError: false });
    await bus.subscribe('a', (event) => seen.push(event.data));
    await bus.publish('a', 1);
    await bus.publish('a', 2);
    await eventually(() => seen.length === 2 && errors.length === 2);
    expect(errors[0]).toBeInstanceOf(HandlerError);
    expect(errors[0]?.code).toBe('ERR_BUS_HANDLER_FAILED');
    await eventually(() => bus.getStats().eventsFailed === 2);
  });

  test('a handler that never settles holds up nobody, and ends with its client', async () => {
    const bus = await fixture.open();
    const seen: unknown[] = [];
    const aborted = new Gate();
    await bus.subscribe(
      'a',
      (_, ctx) => {
        ctx.signal.addEventListener('abort', () => aborted.open());
        return new Promise(() => {});
      },
      { concurrency: 2, timeout: 0 },
    );
    await bus.subscribe('a', (event) => seen.push(event.data));
    for (let n = 0; n < 5; n += 1) await bus.publish('a', n);
    await eventually(() => seen.length === 5);
    await bus.disconnect({ timeout: 50 });
    await aborted.opened;
    expect(bus.state).toBe('closed');
  });

  test('a failed handler is retried by the schedule, then given up', async () => {
    const bus = await fixture.open();
    const at: number[] = [];
    const attempts: number[] = [];
    const errors: EventBusError[] = [];
    bus.on('error', (error) => errors.push(error));
    await bus.subscribe(
      'a',
      (_, ctx) => {
        at.push(performance.now());
        attempts.push(ctx.attempt);
        throw new Error('again');
      },
      { maxRetries: 3, retry: EXACT },
    );
    await bus.publish('a', 1);
    await eventually(() => errors.length === 1);
    expect(attempts).toEqual([1, 2, 3, 4]);
    const delays = at.slice(1).map((time, n) => time - at[n]!);
    [20, 40, 80].forEach((delay, n) => {
      // Timers may fire up to a millisecond early.
      expect(delays[n]).toBeGreaterThanOrEqual(delay - 1);
    });
    const stats = bus.getStats();
    expect(stats).toMatchObject({ eventsRetried: 3, eventsFailed: 1, handlerErrors: 4 });
  });

  test('a retry that succeeds is a delivery', async () => {
    const bus = await fixture.open();
    let attempt = 0;
    await bus.subscribe(
      'a',
      async (_, ctx) => {
        attempt = ctx.attempt;
        if (attempt === 1) throw new Error('once');
      },
      { retry: EXACT },
    );
    await bus.publish('a', 1);
    await eventually(() => bus.getStats().eventsDelivered === 1);
    expect(attempt).toBe(2);
    expect(bus.getStats().eventsFailed).toBe(0);
  });

  test.each<[string, unknown, object, number]>([
    ['NonRetryableError is not retried', new NonRetryableError('no'), {}, 1],
    ['ValidationError is not retried', new ValidationError('ERR_BUS_INVALID_DATA', 'no'), {}, 1],
    ['retryOnError: false', new Error('x'), { retryOnError: false }, 1],
    ['maxRetries: 0', new Error('x'), { maxRetries: 0 }, 1],
    ['retryIf that says no', new Error('x'), { retryIf: () => false }, 1],
    ['retryIf that says yes', new NonRetryableError('x'), { retryIf: () => true }, 2],
    ['retryIf that throws', new Error('x'), { retryIf: () => fail(new Error('y')) }, 2],
    ['RetryLater', new RetryLater(5), {}, 2],
  ])('%s', async (_, thrown, options, attempts) => {
    const bus = await fixture.open();
    let calls = 0;
    const failed = new Gate<EventBusError>();
    bus.on('error', (error) => failed.open(error));
    const handler = () => {
      calls += 1;
      throw thrown;
    };
    await bus.subscribe('a', handler, { maxRetries: 1, retry: EXACT, ...options });
    await bus.publish('a', 1);
    expect(await failed.opened).toMatchObject({ cause: thrown });
    expect(calls).toBe(attempts);
  });

  test('RetryLater sets the next delay', async () => {
    const bus = await fixture.open();
    const at: number[] = [];
    await bus.subscribe(
      'a',
      () => {
        at.push(performance.now());
        if (at.length === 1) throw new RetryLater(60);
      },
      { retry: { initialDelay: 1, jitter: 'none' } },
    );
    await bus.publish('a', 1);
    await eventually(() => at.length === 2);
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(59);
  });

  test('a handler that takes too long is aborted, counted, and its late result ignored', async () => {
    const bus = await fixture.open();
    const gate = new Gate();
    const failed = new Gate<EventBusError>();
    const aborted = new Gate<unknown>();
    bus.on('error', (error) => failed.open(error));
    await bus.subscribe(
      'a',
      async (_, ctx) => {
        ctx.signal.addEventListener('abort', () => aborted.open(ctx.signal.reason));
        await gate.opened;
      },
      { timeout: 30, retryOnError: false },
    );
    await bus.publish('a', 1);
    expect(await aborted.opened).toBeInstanceOf(TimeoutError);
    expect(await failed.opened).toMatchObject({ code: 'ERR_BUS_HANDLER_TIMEOUT' });
    await eventually(() => bus.getStats().zombieHandlers === 1);
    gate.open();
    await eventually(() => bus.getStats().zombieHandlers === 0);
    expect(bus.getStats()).toMatchObject({ eventsFailed: 1, eventsDelivered: 0 });
  });

  test('ctx.signal read after the time is over is aborted', async () => {
    const bus = await fixture.open();
    const gate = new Gate();
    let late: boolean | undefined;
    await bus.subscribe(
      'a',
      async (_, ctx) => {
        await gate.opened;
        late = ctx.signal.aborted;
      },
      { timeout: 10, retryOnError: false },
    );
    await bus.publish('a', 1);
    await eventually(() => bus.getStats().zombieHandlers === 1);
    gate.open();
    await eventually(() => late === true);
  });

  test('a circuit opens, drops and counts, lets one call through, and closes', async () => {
    const bus = await fixture.open();
    const states: string[] = [];
    let broken = true;
    let calls = 0;
    const sub = await bus.subscribe(
      'a',
      () => {
        calls += 1;
        if (broken) throw new Error('x');
      },
      {
        retryOnError: false,
        circuitBreaker: { minimumCalls: 4, resetTimeout: 50, errorThresholdPercentage: 50 },
      },
    );
    bus.on('circuit', ({ subscription, state }) => {
      expect(subscription).toBe(sub.id);
      states.push(state);
    });
    await eventually(async () => {
      await bus.publish('a', 1);
      return states.includes('open');
    });
    const before = calls;
    const dropped = bus.getStats().eventsDropped;
    await bus.publish('a', 2);
    await eventually(() => bus.getStats().eventsDropped > dropped);
    expect(calls).toBe(before);
    broken = false;
    await eventually(async () => {
      await bus.publish('a', 3);
      return states.includes('closed');
    });
    expect(states).toEqual(['open', 'half-open', 'closed']);
  });

  test('what a full queue drops is told once for each subscription, and in the health report', async () => {
    const logger = keepingLogger();
    const bus = await fixture.open({ logger });
    const warnings: { code: string; message: string }[] = [];
    bus.on('warning', (warning) => warnings.push(warning));
    const gate = new Gate();
    const queue = { maxEvents: 2 };
    await bus.subscribe('n', () => gate.opened, { concurrency: 1, queue });
    await bus.subscribe(['n*', 'm'], () => gate.opened, { concurrency: 1, queue });
    await bus.subscribe('n', () => {});
    for (let n = 0; n < 50; n += 1) await bus.publish('n', n);
    await eventually(() => bus.getStats().eventsDropped === 94);
    await eventually(() => warnings.length === 2);
    const about = (pattern: string) => ({
      code: 'EVENTS_DROPPED',
      message: expect.stringContaining(`for the subscription to ${pattern} were dropped`),
    });
    const both = expect.arrayContaining([about('n'), about('n*, m')]);
    expect(warnings).toEqual(both);
    const report = await bus.healthCheck();
    expect(report.warnings.filter(({ code }) => code === 'EVENTS_DROPPED')).toEqual(both);
    expect(report.status).toBe('healthy');
    const lines = logger.lines.filter(({ fields }) => fields.code === 'EVENTS_DROPPED');
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'warn']);
    gate.open();
  });

  test('one who waits for results does not outrun the handlers of the same client', async () => {
    const bus = await fixture.open();
    let handled = 0;
    // Through a server messages may come later than results, by as much as the queue has room for.
    const maxEvents = fixture.transport === 'memory' ? 2000 : 10_000;
    const count = () => {
      handled += 1;
    };
    await bus.subscribe('n', count, { queue: { maxEvents } });
    for (let round = 0; round < 40; round += 1) {
      await Promise.all(Array.from({ length: 500 }, () => bus.publish('n', 0)));
    }
    await eventually(() => handled + bus.getStats().eventsDropped === 20_000);
    expect(bus.getStats().eventsDropped).toBe(0);
  });

  test('a handler that publishes does not wait for the queue that it is served from', async () => {
    const bus = await fixture.open();
    let handled = 0;
    const handler = async () => {
      await bus.publish('other', 0);
      handled += 1;
    };
    await bus.subscribe('n', handler, { concurrency: 4, queue: { maxEvents: 100 } });
    await Promise.all(Array.from({ length: 90 }, () => bus.publish('n', 0)));
    await eventually(() => handled === 90);
  });

  test.each<['drop-oldest' | 'drop-newest' | 'latest-per-key', number[]]>([
    ['drop-oldest', [0, 8, 9]],
    ['drop-newest', [0, 1, 2]],
    // 7 and 9 took the place of 1, the first of their key.
    ['latest-per-key', [0, 9, 8]],
  ])('a full queue: %s', async (overflow, expected) => {
    const bus = await fixture.open();
    const gate = new Gate();
    const seen: number[] = [];
    const witness: number[] = [];
    await bus.subscribe(
      'n',
      async (event) => {
        seen.push(event.data);
        await gate.opened;
      },
      { concurrency: 1, queue: { maxEvents: 2, overflow } },
    );
    await bus.subscribe('n', (event) => witness.push(event.data));
    await bus.publish('n', 0);
    await eventually(() => seen.length === 1);
    for (let n = 1; n < 10; n += 1) await bus.publish('n', n, { key: `k${n % 2}` });
    await eventually(() => witness.length === 10);
    await eventually(() => bus.getStats().eventsDropped === 7);
    gate.open();
    await eventually(() => seen.length === expected.length);
    expect(seen).toEqual(expected);
  });
});

test.each([NaN, -1, '1s', undefined, null])('RetryLater refuses %p', (delay) => {
  expect(() => new RetryLater(delay as never)).toThrow(TypeError);
});
