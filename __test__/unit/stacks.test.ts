/** Errors begin at the line of the user's call, whichever method it was, and show the callers behind it. */

import { controls, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import { stackFromCaller } from '../../ts/caller-stacks';
import { EventBusClient, EventBusError, EventBusManager, EventValidator } from '../../ts/index';
import { createTestBus } from '../../ts/testing';
import { fail, quiet, tick } from '../support/durable-events';

let bus: EventBusClient;
const bad = { nonsense: 1 } as never;
const cyclic: unknown[] = [];
cyclic.push(cyclic);

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
});

afterEach(() => bus.disconnect());

/** The first lines of the stack are in this file: the call, and so many callers behind it. */
function expectCaller(error: unknown, callers = 0): void {
  expect(error).toBeInstanceOf(EventBusError);
  const lines = (error as Error).stack?.split('\n');
  expect(lines?.slice(1, callers + 2)).toEqual(
    Array(callers + 1).fill(expect.stringContaining('stacks.test.ts')),
  );
}

test.each<[string, () => Promise<unknown>]>([
  ['connect', () => bus.connect(bad)],
  ['waitUntilReady', () => bus.waitUntilReady(bad)],
  ['disconnect', () => bus.disconnect(bad)],
  ['close', () => bus.close(bad)],
  ['publish', () => bus.publish('a', 1n)],
  ['publishBatch', () => bus.publishBatch(5 as never)],
  ['broadcast', () => bus.broadcast('a', 1n)],
  ['publishToRoom', () => bus.publishToRoom(5 as never, 'a', 1)],
  ['publishToUser', () => bus.publishToUser(5 as never, 'a', 1)],
  ['joinRoom', () => bus.joinRoom('r', bad)],
  ['leaveRoom', () => bus.leaveRoom('r', bad)],
  ['getRoomMembers', () => bus.getRoomMembers(5 as never)],
  ['joinUser', () => bus.joinUser(5 as never)],
  ['leaveUser', () => bus.leaveUser(5 as never)],
  ['subscribe', () => bus.subscribe('a', 5 as never)],
  ['unsubscribe', () => bus.unsubscribe(5 as never)],
  ['subscribeAll', () => bus.subscribeAll(bad)],
  ['respond', () => bus.respond('a', 5 as never)],
  ['request', async () => await bus.request('a', 1n)],
  ['request of all', async () => await bus.request('a', 1n, { all: true }).next()],
  ['getEvent', () => bus.getEvent((() => 1) as never)],
  ['getHistory', () => bus.getHistory(bad)],
  ['replay', () => bus.replay(bad)],
  ['events().ready', () => bus.events('a', { timeout: 1 } as never).ready()],
  ['events().next', () => bus.events('a', { timeout: 1 } as never).next()],
  ['streams.info', () => bus.streams.info((() => 1) as never)],
  ['streams.exists', () => bus.streams.exists((() => 1) as never)],
  ['streams.list', () => closed(() => bus.streams.list())],
  ['streams.pending', () => bus.streams.pending('s', 'g', bad)],
  ['streams.recover', () => bus.streams.recover(bad)],
  ['streams.trim', () => bus.streams.trim('s', bad)],
  ['streams.setPosition', () => bus.streams.setPosition('s', 'g', 5 as never)],
  ['streams.removeGroup', () => bus.streams.removeGroup((() => 1) as never, 'g')],
  ['deadLetters.list', () => bus.deadLetters.list(bad)],
  ['deadLetters.get', () => bus.deadLetters.get((() => 1) as never)],
  ['deadLetters.replay', () => bus.deadLetters.replay('x', bad)],
  ['deadLetters.replayAll', () => bus.deadLetters.replayAll(bad)],
  ['deadLetters.remove', () => bus.deadLetters.remove((() => 1) as never)],
  ['deadLetters.purge', () => bus.deadLetters.purge((() => 1) as never)],
  ['deadLetters.count', () => bus.deadLetters.count((() => 1) as never)],
])('%s', async (_, call) => {
  async function caller() {
    await call();
  }
  const error = await caller().then(fail, (thrown) => thrown);
  expectCaller(error, 1);
});

function closed<T>(call: () => Promise<T>): Promise<T> {
  void bus.disconnect();
  return call();
}

test.each<[string, (manager: EventBusManager) => Promise<unknown>]>([
  ['initialize', (manager) => manager.initialize()],
  ['publish', (manager) => manager.publish(bad)],
  ['subscribe', (manager) => manager.subscribe('a', 5 as never)],
  ['unsubscribe', (manager) => manager.unsubscribe(5 as never)],
  ['getSystemStats', (manager) => manager.getSystemStats()],
  ['healthCheck', (manager) => manager.healthCheck()],
  ['shutdown', (manager) => manager.shutdown(bad)],
])('the %s of a manager', async (_, call) => {
  const manager = new EventBusManager({ logger: 5 } as never);
  async function caller() {
    await call(manager);
  }
  const error = await caller().then(fail, (thrown) => thrown);
  expectCaller(error, 1);
});

test.each<[string, () => unknown]>([
  ['subscriberCount', () => bus.subscriberCount(5 as never)],
  ['on', () => bus.on('nothing' as never, () => {})],
  ['once', () => bus.once('ready', 5 as never)],
  ['off', () => bus.off('ready', 5 as never)],
  ['a constructor', () => new EventBusClient(5 as never)],
  ['a validator', () => new EventValidator(cyclic as never)],
  ['validateEvent', () => new EventValidator().validateEvent({ data: cyclic })],
  ['validateEventType', () => new EventValidator().validateEventType(cyclic)],
  ['validateMetadata', () => new EventValidator().validateMetadata(cyclic)],
  ['validateTimestamp', () => new EventValidator().validateTimestamp(cyclic)],
  ['validateEventSize', () => new EventValidator().validateEventSize(cyclic)],
  ['validateDataSize', () => new EventValidator().validateDataSize(cyclic)],
  ['sanitize', () => new EventValidator().sanitize(cyclic)],
  ['createTestBus', () => createTestBus(5 as never)],
  ['published', () => createTestBus().published(5 as never)],
  ['client', () => createTestBus().client(5 as never)],
])('%s throws', (_, call) => {
  let error: unknown;
  try {
    call();
  } catch (thrown) {
    error = thrown;
  }
  expectCaller(error);
});

test.each<[string, () => Promise<unknown>]>([
  ['connect', () => bus.connect(bad)],
  ['disconnect', () => bus.disconnect(bad)],
  ['publish', () => bus.publish('a', 1n)],
  ['publishBatch', () => bus.publishBatch(5 as never)],
  ['broadcast', () => bus.broadcast('a', 1n)],
  ['publishToRoom', () => bus.publishToRoom(5 as never, 'a', 1)],
  ['joinRoom', () => bus.joinRoom('r', bad)],
  ['getRoomMembers', () => bus.getRoomMembers(5 as never)],
  ['leaveUser', () => bus.leaveUser(5 as never)],
  ['subscribe', () => bus.subscribe('a', 5 as never)],
  ['getEvent', () => bus.getEvent((() => 1) as never)],
  ['unsubscribe', () => bus.unsubscribe(5 as never)],
  ['subscribeAll', () => bus.subscribeAll(bad)],
  ['getHistory', () => bus.getHistory(bad)],
  ['streams.trim', () => bus.streams.trim('s', bad)],
  ['deadLetters.list', () => bus.deadLetters.list(bad)],
  ['manager.initialize', () => new EventBusManager({ logger: 5 } as never).initialize()],
  ['manager.publish', () => new EventBusManager().publish(bad)],
  ['manager.subscribe', () => new EventBusManager().subscribe('a', 5 as never)],
  ['manager.getSystemStats', () => new EventBusManager({ logger: 5 } as never).getSystemStats()],
  ['manager.shutdown', () => new EventBusManager().shutdown(bad)],
  ['a test bus', () => createTestBus().advance(-1)],
])('%s knows its caller also where nobody waits yet', async (_, call) => {
  const rejected = jest.fn();
  call().catch(rejected);
  await tick();
  expectCaller(rejected.mock.calls[0][0]);
});

test('an answer of the engine rejects at the call that waits for it', async () => {
  controls.answers.getEvent = async () => {
    await tick();
    fail({ code: 'ERR_BUS_NO_STREAM', message: 'x' });
  };
  async function inner() {
    await tick();
    return await bus.getEvent('x');
  }
  async function outer() {
    return await inner();
  }
  expectCaller(await outer().then(fail, (thrown) => thrown), 2);
});

test('the results of a batch that failed name the call', async () => {
  controls.failures = [{ code: 'ERR_BUS_CONNECTION_LOST', message: 'gone', outcome: 'unknown' }];
  async function caller() {
    return await bus.publishBatch([
      { type: 'a', data: 1 },
      { type: 'a', data: 1n },
    ]);
  }
  const results = await caller();
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  for (const result of results) expectCaller((result as PromiseRejectedResult).reason, 1);
});

test('ending a subscription with wrong options', async () => {
  const sub = await bus.subscribe('a', () => {});
  async function caller() {
    await sub.unsubscribe({ wait: 5 } as never);
  }
  expectCaller(await caller().then(fail, (thrown) => thrown), 1);
});

test('methods keep their names, and stay out of the enumeration of an object', () => {
  const { connect, on, publishToRoom } = EventBusClient.prototype;
  expect([connect.name, on.name, publishToRoom.name]).toEqual(['connect', 'on', 'publishToRoom']);
  expect(publishToRoom).toHaveLength(4);
  expect(Object.keys(EventBusClient.prototype)).toEqual([]);
});

test('what Node has below a call that ends between two timers is no part of its stack', async () => {
  async function ask() {
    // Two timers of one list: Node runs what the first makes ready before it calls the second.
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 1);
      setTimeout(() => {}, 1);
      // Both are due then, however long the machine took between them.
      const due = performance.now() + 5;
      while (performance.now() < due);
    });
    const raw = new Error('raw').stack;
    const error = new EventBusError('ERR_BUS_CLOSED', 'gone');
    throw Object.assign(stackFromCaller(error, ask) as EventBusError, { raw });
  }
  async function caller() {
    await ask();
  }
  const error = await caller().catch((reason) => reason);
  expect(error.raw).toContain('node:internal/');
  expect(error.stack.split('\n')[0]).toContain('gone');
  expect(error.stack.split('\n')[1]).toContain('stacks.test.ts');
  expect(error.stack).not.toContain('runNextTicks');
});

describe('a rejection that nobody has awaited', () => {
  const gone = {
    code: 'ERR_BUS_CONNECTION_LOST',
    message: 'gone',
    outcome: 'not_sent',
  } as const;
  const refuse = async () => {
    await tick();
    fail(gone);
  };

  test.each<[string, () => Promise<unknown>]>([
    ['publish', () => bus.publish('a', 1)],
    ['publish with a signal', () => bus.publish('a', 1, { signal: new AbortController().signal })],
    ['broadcast', () => bus.broadcast('a', 1)],
    ['publishToRoom', () => bus.publishToRoom('r', 'a', 1)],
    ['getEvent', () => bus.getEvent('x')],
    ['streams.info', () => bus.streams.info('s')],
    ['deadLetters.count', () => bus.deadLetters.count('s')],
    ['replay', () => bus.replay({ stream: 's', handler: () => {} })],
  ])('%s', async (_, call) => {
    controls.failures = [gone];
    for (const method of ['getEvent', 'streams.info', 'deadLetters.count', 'replay.page']) {
      controls.answers[method] = refuse;
    }
    const rejected = jest.fn();
    // The process's own listener for such rejections is no caller either.
    call().catch(rejected);
    while (rejected.mock.calls.length === 0) await tick();
    const [error] = rejected.mock.calls[0];
    expect(error).toMatchObject({ code: gone.code });
    expectCaller(error);
  });

  test('of many publishes in one tick the first has its line', async () => {
    controls.failures = Array(10).fill(gone);
    const rejected = jest.fn();
    for (let n = 0; n < 10; n += 1) bus.publish('a', n).catch(rejected);
    while (rejected.mock.calls.length < 10) await tick();
    expectCaller(rejected.mock.calls[0]?.[0]);
    for (const [error] of rejected.mock.calls) expect(error.stack).toContain('gone');
  });
});

test('a stack is written when it is read, once, and can be set', () => {
  const prepare = Error.prepareStackTrace;
  let written = 0;
  Error.prepareStackTrace = (error, frames) => {
    written += 1;
    return `${error}\n    at ${frames[0]}`;
  };
  try {
    const error = stackFromCaller(new EventBusError('ERR_BUS_CLOSED', 'gone'), fail) as Error;
    const made = written;
    expect(error.stack?.split('\n')[0]).toBe('EventBusError: gone');
    expect([error.stack, written]).toEqual([error.stack, made + 1]);
    expect(Object.keys(error)).not.toContain('stack');
    error.stack = 'mine';
    expect(error.stack).toBe('mine');
  } finally {
    Error.prepareStackTrace = prepare;
  }
});
