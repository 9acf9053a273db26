/** What is told of handlers that fail: the event `handlerError`, and lines of the log with the stack of what was thrown. */

import type { BusEvent, EventBusError } from '..';
import { deadLettersOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { FAST, StockError } from './support/failures';
import { keepingLogger, onBothTransports } from './support/transports';

interface Failure {
  error: EventBusError;
  event: BusEvent | BusEvent[];
  attempt: number;
  final: boolean;
}

onBothTransports((fixture) => {
  test('each failed attempt is told, with its event and what was thrown', async () => {
    const logger = keepingLogger();
    const bus = await fixture.open({ logger });
    const failures: Failure[] = [];
    const errors: EventBusError[] = [];
    bus.on('handlerError', (failure) => failures.push(failure));
    bus.on('error', (error) => errors.push(error));
    let calls = 0;
    const handler = () => {
      calls += 1;
      throw new StockError(`attempt ${calls}`);
    };
    await bus.subscribe('order', handler, { maxRetries: 1, retry: FAST });
    const { eventId } = await bus.publish('order', { item: 'ox' });
    await eventually(() => failures.length === 2);
    expect(failures).toMatchObject([
      { event: { id: eventId, data: { item: 'ox' } }, attempt: 1, final: false },
      { event: { id: eventId }, attempt: 2, final: true },
    ]);
    for (const { error } of failures) expect(error.cause).toBeInstanceOf(StockError);
    expect(errors).toEqual([failures[1]?.error]);
    const lines = logger.lines.filter(({ fields }) => fields.event === eventId);
    expect(lines).toMatchObject([
      {
        level: 'warn',
        message: 'a handler of "order" failed: attempt 1; it is tried again',
        fields: { err: failures[0]?.error.cause, stack: expect.stringContaining('handler-errors') },
      },
    ]);
  });

  test('a dead letter is one line, with the stack', async () => {
    const logger = keepingLogger();
    const bus = await fixture.open({ logger, streams: [streamFor('*')] });
    const deadLetters = deadLettersOf(bus);
    const finals: boolean[] = [];
    bus.on('handlerError', ({ final }) => finals.push(final));
    const handler = () => Promise.reject(new StockError('sold out'));
    await bus.subscribe('order', handler, { group: 'stock', retryOnError: false });
    const { eventId, messageId } = await bus.publish('order', 1);
    await eventually(() => deadLetters.length === 1);
    expect(finals).toEqual([true]);
    const loud = logger.lines.filter(({ level }) => level === 'error' || level === 'warn');
    expect(loud).toMatchObject([
      {
        level: 'error',
        message: 'a stored event was given up: sold out',
        fields: {
          group: 'stock',
          messageId,
          event: eventId,
          type: 'order',
          attempts: 1,
          reason: 'failed',
          stack: expect.stringContaining('handler-errors.test.ts'),
        },
      },
    ]);
  });

  test('a batch is told with all its events', async () => {
    const bus = await fixture.open({ streams: [streamFor('*')] });
    const failures: Failure[] = [];
    bus.on('handlerError', (failure) => failures.push(failure));
    const options = { group: 'g', batch: { size: 2, wait: 5_000 }, retryOnError: false } as const;
    await bus.subscribe('n', () => Promise.reject(new Error('no')), options);
    await bus.publishBatch([1, 2].map((data) => ({ type: 'n', data })));
    await eventually(() => failures.length === 1);
    expect(failures).toMatchObject([
      { event: [{ data: 1 }, { data: 2 }], attempt: 1, final: true },
    ]);
  });
});
