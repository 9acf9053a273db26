/** The bus and the test bus where a test has replaced the timers of the process. */

import { EventBusClient } from '..';
import { createTestBus } from '../testing';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

test('a client works under fake timers', async () => {
  const bus = new EventBusClient({ mode: 'memory', memory: 'fake-timers', logger: quiet });
  const seen: unknown[] = [];
  await bus.subscribe('a', async (event) => {
    await null;
    seen.push(event.data);
  });
  await Promise.all([bus.publish('a', 1), bus.publish('a', 2)]);
  const iterator = bus.events('b');
  await iterator.ready();
  await bus.publish('b', 3);
  expect((await iterator.next()).value?.data).toBe(3);
  expect(await bus.healthCheck()).toMatchObject({ status: 'healthy' });
  await bus.disconnect();
  expect(seen).toEqual([1, 2]);
});

test('a handler is timed by the real clock', async () => {
  const bus = new EventBusClient({ mode: 'memory', memory: 'fake-timers', logger: quiet });
  const failed = new Promise<Error>((resolve) => bus.on('error', resolve));
  await bus.subscribe('a', () => new Promise(() => {}), { timeout: 5, maxRetries: 0 });
  await bus.publish('a', 1);
  expect(await failed).toMatchObject({ code: 'ERR_BUS_HANDLER_TIMEOUT' });
  await bus.disconnect();
});

test('the test bus has a clock of its own', async () => {
  const bus = createTestBus({ streams: [{ name: 's', events: '*' }], logger: quiet });
  const attempts: number[] = [];
  const handler = (_: unknown, { attempt }: { attempt: number }) => {
    attempts.push(attempt);
    if (attempt < 3) throw new Error('no');
  };
  await bus.subscribe('a', handler, { group: 'g', retry: { jitter: 'none' } });
  await bus.publish('a', 1);
  await bus.settled();
  expect(attempts).toEqual([1]);
  await bus.advance(10_000);
  expect(attempts).toEqual([1, 2, 3]);
  await bus.disconnect();
});

test('what a test does to a published event does not show in the next look', async () => {
  const bus = createTestBus({ logger: quiet });
  await bus.publish('a', { n: 1 });
  const [first] = bus.published();
  (first as { data: { n: number } }).data.n = 2;
  expect(bus.published()[0]?.data).toEqual({ n: 1 });
  await bus.disconnect();
});
