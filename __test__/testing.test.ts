/** `oxbus/testing` with the real engine: everything that waits does so by the clock of the test. */

import type { EventBusConfig, GroupContext } from '..';
import { createTestBus, type TestBus } from '../testing';
import { deadLettersOf } from './support/durable';
import { keepingLogger } from './support/transports';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ORDERS: EventBusConfig = {
  serviceName: 'shop',
  streams: [{ name: 'orders', events: 'order.*', consumerGroups: ['billing'] }],
};

let bus: TestBus;
const create = (config: EventBusConfig = {}) => {
  bus = createTestBus({ logger: keepingLogger(), ...ORDERS, ...config });
  return bus;
};

let began: number;
beforeEach(() => {
  began = performance.now();
});

afterEach(async () => {
  await bus.disconnect({ timeout: 50 });
  // Hours pass in these tests, and none of them is waited for.
  expect(performance.now() - began).toBeLessThan(10_000);
});

const pending = async () => (await bus.streams.info('orders')).groups[0]?.pending;

test('a service under test: what it did, and what it published', async () => {
  create();
  await bus.subscribe(
    'order.placed',
    async (event) => {
      await bus.publish('invoice.created', { order: event.data.id });
    },
    { group: 'billing' },
  );
  const { eventId } = await bus.publish('order.placed', { id: 17 });
  await bus.settled();
  const [invoice] = bus.published('invoice.*');
  expect(invoice).toMatchObject({
    type: 'invoice.created',
    data: { order: 17 },
    metadata: { source: 'shop', correlationId: eventId, causationId: eventId },
  });
  expect(bus.published().map(({ type }) => type)).toEqual(['order.placed', 'invoice.created']);
  expect(await pending()).toBe(0);
});

test('retries come by the clock, exactly when they are due', async () => {
  create();
  const seen = deadLettersOf(bus);
  const at: number[] = [];
  const start = bus.now();
  const retry = { initialDelay: MINUTE, maxDelay: HOUR, multiplier: 10, jitter: 'none' as const };
  await bus.subscribe(
    'order.*',
    () => {
      at.push(bus.now() - start);
      throw new Error('not yet');
    },
    { group: 'billing', retry },
  );
  await bus.publish('order.placed', 1);
  await bus.settled();
  expect(at).toEqual([0]);
  await bus.advance(MINUTE - 1);
  expect(at).toHaveLength(1);
  await bus.advance(1);
  expect(at).toHaveLength(2);
  await bus.advance(10 * MINUTE);
  expect(at).toHaveLength(3);
  expect(seen).toEqual([]);
  await bus.advance(HOUR);
  expect(at).toEqual([0, MINUTE, 11 * MINUTE, 71 * MINUTE]);
  expect(seen).toMatchObject([{ attempts: 4, reason: 'failed', error: { message: 'not yet' } }]);
  expect(await pending()).toBe(0);
});

test('a dead letter is replayed after the fix', async () => {
  create();
  const seen = deadLettersOf(bus);
  let fixed = false;
  const handled: string[] = [];
  await bus.subscribe(
    'order.*',
    (event) => {
      if (!fixed) throw new Error('a fault');
      handled.push(event.id);
    },
    { group: 'billing' },
  );
  const { eventId } = await bus.publish('order.placed', 1);
  await bus.advance(HOUR);
  expect(seen).toHaveLength(1);
  const [deadLetter] = await bus.deadLetters.list();
  expect(deadLetter).toMatchObject({ stream: 'orders', group: 'billing', event: { id: eventId } });
  expect(Date.parse(deadLetter?.time ?? '')).toBeLessThanOrEqual(bus.now());
  fixed = true;
  expect(await bus.deadLetters.replayAll()).toBe(1);
  await bus.settled();
  expect(handled).toEqual([eventId]);
  expect(await bus.deadLetters.count()).toBe(0);
});

test('a handler that hangs is timed out by the clock', async () => {
  create();
  const seen = deadLettersOf(bus);
  const signals: AbortSignal[] = [];
  await bus.subscribe(
    'order.*',
    (_, { signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
    { group: 'billing', timeout: HOUR, maxProcessing: 2 * HOUR, maxRetries: 1 },
  );
  await bus.publish('order.placed', 1);
  await bus.advance(HOUR - 1);
  expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  await bus.advance(1);
  expect(signals[0]?.aborted).toBe(true);
  await bus.advance(2 * HOUR);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(seen).toMatchObject([{ error: { code: 'ERR_BUS_HANDLER_TIMEOUT' } }]);
  expect(bus.getStats().zombieHandlers).toBe(2);
});

test('a claim lasts while its handler runs, and is taken over when it ends', async () => {
  create({ lease: MINUTE });
  const other = bus.client({ ...ORDERS, lease: MINUTE });
  const lost: unknown[] = [];
  const taken: GroupContext[] = [];
  bus.on('claimLost', (claim) => lost.push(claim));
  await bus.subscribe('order.*', () => new Promise(() => {}), {
    group: 'billing',
    timeout: 0,
    maxProcessing: HOUR,
  });
  const { eventId, messageId } = await bus.publish('order.placed', 1);
  await bus.advance(0);
  await other.subscribe('order.*', (_, ctx) => taken.push(ctx), { group: 'billing' });
  await bus.advance(HOUR - MINUTE);
  expect(taken).toEqual([]);
  await bus.advance(3 * MINUTE);
  expect(taken).toMatchObject([{ messageId, deliveryCount: 2, attempt: 2 }]);
  expect(lost).toEqual([{ stream: 'orders', group: 'billing', messageId, eventId }]);
  expect(await pending()).toBe(0);
});

test('a member that ends hands over at once', async () => {
  create();
  const other = bus.client(ORDERS);
  const seen: number[] = [];
  await other.subscribe('order.*', () => new Promise(() => {}), {
    group: 'billing',
    concurrency: 1,
    timeout: 0,
  });
  for (let n = 0; n < 4; n += 1) await bus.publish('order.placed', n);
  await bus.advance(10);
  await bus.subscribe('order.*', (event) => seen.push(event.data), { group: 'billing' });
  const closed = other.disconnect({ timeout: 50 });
  await bus.advance(1000);
  expect(seen.sort()).toEqual([1, 2, 3]);
  // What its handler has not finished by then is free with the lease.
  await closed;
  await bus.advance(MINUTE);
  expect(seen).toEqual([1, 2, 3, 0]);
});

test('what nobody handles is a dead letter after a while', async () => {
  create({ lease: MINUTE });
  const other = bus.client({ ...ORDERS, lease: MINUTE });
  const seen = deadLettersOf(bus);
  await bus.subscribe('order.placed', () => {}, { group: 'billing' });
  await other.subscribe('order.paid', () => {}, { group: 'billing' });
  await bus.advance(5000);
  await other.disconnect();
  await bus.publish('order.paid', 1);
  await bus.advance(MINUTE);
  expect(seen).toEqual([]);
  await bus.advance(10 * MINUTE);
  expect(seen).toMatchObject([{ reason: 'unhandled', event: { type: 'order.paid' } }]);
});

test('duplicates, kept events and retention go by the clock', async () => {
  create({
    persistence: { ttl: HOUR },
    streams: [{ name: 'orders', events: 'order.*', retention: 'time', retentionValue: 24 * HOUR }],
  });
  const publish = () =>
    bus.publish('order.placed', 1, { id: 'once', deduplicate: { ttl: MINUTE } });
  expect(await publish()).toMatchObject({ duplicate: false });
  await bus.advance(MINUTE - 1);
  expect(await publish()).toMatchObject({ duplicate: true });
  await bus.advance(2);
  expect(await publish()).toMatchObject({ duplicate: false });
  const reader = bus.client({ persistence: { ttl: HOUR } });
  expect(await reader.getEvent('once')).toMatchObject({ id: 'once' });
  await bus.advance(HOUR + MINUTE);
  expect(await reader.getEvent('once')).toBeNull();
  expect((await bus.streams.info('orders')).length).toBe(2);
  await bus.advance(24 * HOUR);
  expect((await bus.streams.info('orders')).length).toBe(0);
});

test('timestamps and message ids are of the clock', async () => {
  create();
  await bus.advance(365 * 24 * HOUR);
  const { timestamp, messageId } = await bus.publish('order.placed', 1);
  expect(Date.parse(timestamp)).toBe(bus.now());
  expect(messageId?.split('-')[0]).toBe(String(bus.now()));
  expect(bus.now()).toBeGreaterThan(Date.now() + 300 * 24 * HOUR);
});

test('settled waits for handlers, and for what they cause', async () => {
  create({ streams: [{ name: 'all', events: '*' }] });
  const seen: string[] = [];
  const step = (from: string, to: string | undefined) =>
    bus.subscribe(
      from,
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        seen.push(from);
        if (to !== undefined) await bus.publish(to, 1);
      },
      { group: from },
    );
  await step('a', 'b');
  await step('b', 'c');
  await step('c', undefined);
  await bus.publish('a', 1);
  await bus.settled();
  expect(seen).toEqual(['a', 'b', 'c']);
});

test('two buses know nothing of each other', async () => {
  create();
  const other = createTestBus({ logger: keepingLogger(), ...ORDERS });
  await other.publish('order.placed', 1);
  await other.advance(HOUR);
  expect((await bus.streams.info('orders')).length).toBe(0);
  expect(bus.now()).toBeLessThan(other.now());
  expect(bus.published()).toEqual([]);
  await other.disconnect();
});
