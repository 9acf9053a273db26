/** `oxbus/testing` with the engine: hours of a bus in milliseconds. */

import type { DeadLetterNotice, EventBusConfig } from '..';
import { createTestBus, type TestBus } from '../testing';
import { keepingLogger } from './support/transports';

const buses: TestBus[] = [];
const streams: EventBusConfig['streams'] = [{ name: 'orders', events: 'order.*' }];
const open = (config: EventBusConfig = {}): TestBus => {
  const bus = createTestBus({ logger: keepingLogger(), streams, ...config });
  buses.push(bus);
  return bus;
};

afterEach(() => Promise.all(buses.splice(0).map((bus) => bus.disconnect({ timeout: 100 }))));

test('retries come when they are due, and then the dead letter', async () => {
  const bus = open();
  const calls: [number, number][] = [];
  const deadLetters: DeadLetterNotice[] = [];
  bus.on('deadLetter', (deadLetter) => deadLetters.push(deadLetter)).on('error', () => {});
  let broken = true;
  await bus.subscribe(
    'order.*',
    (_, ctx) => {
      calls.push([ctx.attempt, bus.now() - start]);
      if (broken) throw new TypeError('boom');
    },
    { group: 'g', retry: { jitter: 'none' } },
  );
  const start = bus.now();
  const { messageId, timestamp } = await bus.publish('order.created', { n: 1 });
  expect(new Date(timestamp).getTime()).toBe(start);
  await bus.settled();
  expect(calls).toEqual([[1, 0]]);
  await bus.advance(999);
  expect(calls).toHaveLength(1);
  await bus.advance(3_600_000);
  expect(calls).toEqual([
    [1, 0],
    [2, 1000],
    [3, 3000],
    [4, 7000],
  ]);
  const error = { name: 'TypeError', message: 'boom' };
  expect(deadLetters).toMatchObject([
    { stream: 'orders', group: 'g', messageId, attempts: 4, error },
  ]);
  broken = false;
  const [deadLetter] = await bus.deadLetters.list();
  expect(deadLetter).toMatchObject({ messageId, event: { data: { n: 1 } } });
  expect(await bus.deadLetters.replay(deadLetter!.id)).toEqual({ messageId: expect.any(String) });
  await bus.settled();
  expect(calls.at(-1)).toEqual([1, 3_600_999]);
  expect(await bus.deadLetters.count()).toBe(0);
  const [{ pending, lag }] = (await bus.streams.info('orders')).groups as [any];
  expect([pending, lag]).toEqual([0, 0]);
});

test('a handler is timed out by the clock, and its event tried again', async () => {
  const bus = open();
  const aborted: number[] = [];
  await bus.subscribe(
    'order.*',
    async (_, { attempt, signal }) => {
      if (attempt > 1) return;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted.push(bus.now() - start);
    },
    { group: 'g', timeout: 30_000, retry: { initialDelay: 1000, jitter: 'none' } },
  );
  const start = bus.now();
  await bus.publish('order.created', 1);
  await bus.advance(29_999);
  expect(aborted).toEqual([]);
  await bus.advance(1001);
  expect(aborted).toEqual([30_000]);
  expect(bus.getStats()).toMatchObject({ eventsRetried: 1, eventsDelivered: 1 });
});

test('a batch waits on the clock for what is missing', async () => {
  const bus = open();
  const batches: unknown[][] = [];
  await bus.subscribe('order.*', (events) => batches.push(events.map(({ data }) => data)), {
    group: 'g',
    batch: { size: 3, wait: 5000 },
  });
  for (const n of [1, 2, 3, 4]) await bus.publish('order.created', n);
  await bus.settled();
  expect(batches).toEqual([[1, 2, 3]]);
  await bus.advance(4999);
  expect(batches).toHaveLength(1);
  await bus.advance(1);
  expect(batches).toEqual([[1, 2, 3], [4]]);
});

test('what one service leaves behind another takes up', async () => {
  const bus = open();
  const worker = (seen: unknown[]) => async () => {
    const client = bus.client({ streams, logger: keepingLogger() });
    const events = client.events('order.*', { group: 'g' });
    await events.ready();
    const { value } = await events.next();
    seen.push(value?.data);
    return events;
  };
  const [first, second]: unknown[][] = [[], []];
  const one = worker(first!)();
  await bus.publish('order.created', 1);
  const held = await one;
  const two = worker(second!)();
  await held.return();
  await bus.advance(1000);
  await two;
  expect([first, second]).toEqual([[1], [1]]);
});

test('live events, and what was published through it', async () => {
  const bus = open({ serviceName: 'shop' });
  const seen: unknown[] = [];
  await bus.subscribe('order.created', (event) => bus.publish('mail.sent', event.data));
  await bus.client({ logger: keepingLogger() }).subscribe('mail.*', (event) => seen.push(event));
  const { eventId } = await bus.publish('order.created', 1, { key: 'k', correlationId: 'c' });
  await bus.settled();
  const [order, mail] = bus.published();
  expect(order).toMatchObject({ id: eventId, metadata: { source: 'shop', key: 'k' } });
  expect(mail).toMatchObject({ metadata: { correlationId: 'c', causationId: eventId } });
  expect(seen).toEqual([mail]);
  expect(bus.published('mail.*')).toEqual([mail]);
  expect(await bus.getHistory({ type: 'order.*' })).toEqual([order]);
});
