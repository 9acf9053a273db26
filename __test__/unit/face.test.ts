/** The TypeScript face against a fake of the native module. */

import { controls, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import {
  EventBusClient,
  EventBusError,
  HandlerError,
  NonRetryableError,
  RetryLater,
  TimeoutError,
  ValidationError,
} from '../../ts/index';
import { Settlement } from '../../ts/native/settlement';

let bus: EventBusClient;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const tick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
});

afterEach(() => bus.disconnect());

const kinds = () => controls.settled.map(([, kind]) => kind);

test('all publishes of a tick cross in one call', async () => {
  const results = await Promise.all([1, 2, 3].map((n) => bus.publish('a', { n })));
  expect(controls.publishCalls).toBe(1);
  expect(controls.clients[0]!.records[0]).toBe('a\n\n{"n":1}\na\n\n{"n":2}\na\n\n{"n":3}');
  expect(results[0]).toMatchObject({ type: 'a', channel: 'a', receivers: 1, local: 0 });
  expect(new Set(results.map((result) => result.eventId)).size).toBe(3);
});

test('a full batch is handed over before the end of the tick', async () => {
  await bus.disconnect();
  bus = new EventBusClient({ logger: quiet, performance: { batchSize: 2 } });
  await Promise.all([1, 2, 3].map((n) => bus.publish('a', n)));
  expect(controls.publishCalls).toBe(2);
});

test('a type with a line break never reaches a record', async () => {
  await expect(bus.publish('a\n\n1\nb', 1)).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_TYPE' });
  expect(controls.publishCalls).toBe(0);
});

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

test.each([
  ['undefined', undefined],
  ['a function', () => 1],
  ['a symbol', Symbol('x')],
  ['a BigInt', 1n],
  ['a nested BigInt', { n: 1n }],
  ['a cycle', cycle],
  [
    'a throwing toJSON',
    {
      toJSON() {
        throw new Error('no');
      },
    },
  ],
])('data that is %s is refused with its cause', async (_, data) => {
  const error = await bus.publish('a', data).catch((e) => e);
  expect(error).toBeInstanceOf(ValidationError);
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_DATA', cause: expect.any(Error) });
  expect(controls.publishCalls).toBe(0);
});

test.each([
  ['not an object', 5],
  ['an array', []],
  ['a function in it', { metadata: { f: () => 1 } }],
  ['an instance', { metadata: new Map() }],
  ['an audience', { audience: 'broadcast' }],
  ['a signal that is none', { signal: 1 }],
])('options: %s', async (_, options) => {
  const error = await bus.publish('a', 1, options as never).catch((e) => e);
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS' });
});

test('a stack starts at the line of the caller', async () => {
  controls.failures = [{ code: 'ERR_BUS_CONNECTION_LOST', message: 'gone', outcome: 'unknown' }];
  async function caller(data: unknown) {
    await bus.publish('a', data);
  }
  const error = (await caller(1).catch((e) => e)) as EventBusError;
  expect(error).toMatchObject({ code: 'ERR_BUS_CONNECTION_LOST', outcome: 'unknown' });
  expect(error.stack?.split('\n')[1]).toContain('face.test.ts');
  const bad = (await caller(1n).catch((e) => e)) as EventBusError;
  expect(bad.stack?.split('\n')[1]).toContain('face.test.ts');
});

test('what was not sent is tried again, with the time that is left', async () => {
  await bus.disconnect();
  bus = new EventBusClient({ logger: quiet, performance: { maxRetries: 2, retryDelay: 1 } });
  const lost = { code: 'ERR_BUS_CONNECTION_LOST', message: 'gone', outcome: 'not_sent' } as const;
  controls.failures = [lost, lost];
  await expect(bus.publish('a', 1)).resolves.toMatchObject({ type: 'a' });
  expect(controls.publishCalls).toBe(3);
  controls.failures = [lost, lost, lost];
  await expect(bus.publish('a', 1)).rejects.toMatchObject({ outcome: 'not_sent' });
  controls.failures = [{ ...lost, outcome: 'unknown' }];
  await expect(bus.publish('a', 1)).rejects.toMatchObject({ outcome: 'unknown' });
});

test('a signal cancels a publish', async () => {
  controls.silent = true;
  const abort = new AbortController();
  const call = bus.publish('a', 1, { signal: abort.signal });
  await tick();
  abort.abort(new Error('why'));
  const error = await call.catch((e) => e);
  expect(error).toMatchObject({ code: 'ERR_BUS_ABORTED', cause: { message: 'why' } });
  await expect(bus.publish('a', 1, { signal: abort.signal })).rejects.toMatchObject({
    code: 'ERR_BUS_ABORTED',
    outcome: 'not_sent',
  });
});

const throwing = (make: () => unknown) => make;
test.each<[string, () => unknown, number]>([
  ['throws an Error', throwing(() => fail(new Error('x'))), Settlement.failed],
  ['throws undefined', throwing(() => fail(undefined)), Settlement.failed],
  ['throws null', throwing(() => fail(null)), Settlement.failed],
  ['throws a text', throwing(() => fail('x')), Settlement.failed],
  ['rejects', () => Promise.reject(new Error('x')), Settlement.failed],
  ['rejects undefined', () => Promise.reject(undefined), Settlement.failed],
  ['returns a throwing thenable', () => thenable(() => fail(new Error('x'))), Settlement.failed],
  [
    'has a getter for then that throws',
    () => Object.defineProperty({}, 'then', { get: () => fail(1) }),
    Settlement.failed,
  ],
  ['throws what cannot be shown', throwing(() => fail(Object.create(null))), Settlement.failed],
  ['throws a frozen object', throwing(() => fail(Object.freeze({}))), Settlement.failed],
  [
    'throws NonRetryableError',
    throwing(() => fail(new NonRetryableError())),
    Settlement.failedFinal,
  ],
  ['throws RetryLater', throwing(() => fail(new RetryLater(70))), Settlement.retryLater],
])('a handler that %s fails alone', async (_, handler, kind) => {
  const seen: unknown[] = [];
  await bus.subscribe('a', handler);
  await bus.subscribe('a', (event) => seen.push(event));
  await bus.publish('a', 1);
  await tick();
  expect(seen).toHaveLength(1);
  expect(kinds().sort()).toEqual([Settlement.succeeded, kind].sort());
  if (kind === Settlement.retryLater) {
    expect(controls.settled.find(([, k]) => k === kind)?.[2]).toBe(70);
  }
});

function fail(value: unknown): never {
  throw value;
}

function thenable(then: () => void): unknown {
  return Object.defineProperty({}, 'then', { value: then });
}

test('a failure that is final is announced, with its cause', async () => {
  const errors: EventBusError[] = [];
  bus.on('error', (error) => errors.push(error as EventBusError));
  const cause = new TypeError('boom');
  await bus.subscribe('a', () => fail(cause), { retryOnError: false });
  await bus.publish('a', 1);
  await tick();
  expect(errors[0]).toBeInstanceOf(HandlerError);
  expect(errors[0]).toMatchObject({ code: 'ERR_BUS_HANDLER_FAILED', cause });
});

test('a handler that takes too long is timed out, aborted, and its end is told', async () => {
  let signal: AbortSignal | undefined;
  let finish = () => {};
  await bus.subscribe(
    'a',
    (_, ctx) => {
      signal = ctx.signal;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    },
    { timeout: 100 },
  );
  await bus.publish('a', 1);
  await tick();
  expect(signal?.aborted).toBe(false);
  await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
  expect(signal?.reason).toBeInstanceOf(TimeoutError);
  finish();
  await tick();
  expect(kinds()).toEqual([Settlement.timedOut, Settlement.timedOutEnded]);
});

test('events inherit from the event being handled, and only from it', async () => {
  const got: Record<string, any> = {};
  await bus.subscribe('*', async (event) => {
    got[event.type] = event;
    if (event.type !== 'cause') return;
    await bus.publish('before', 1);
    await tick();
    await bus.publish('after', 1);
  });
  await bus.publish('cause', 1, { correlationId: 'c' });
  for (let n = 0; n < 20 && got.after === undefined; n += 1) await tick();
  await bus.publish('stranger', 1);
  await tick();
  const causationId = got.cause.id;
  expect(got.before.metadata).toMatchObject({ correlationId: 'c', causationId });
  expect(got.after.metadata).toMatchObject({ correlationId: 'c', causationId });
  expect(got.stranger.metadata.causationId).toBeUndefined();
});

test('unsubscribing inside a handler does not wait for that handler', async () => {
  let done = false;
  const sub = await bus.subscribe('a', async () => {
    await tick();
    expect(await sub.unsubscribe({ wait: true })).toBe(true);
    expect(await sub.unsubscribe()).toBe(false);
    done = true;
  });
  await bus.publish('a', 1);
  for (let n = 0; n < 20 && !done; n += 1) await tick();
  expect(done).toBe(true);
});

test('a paused subscription handles what came meanwhile after resume, in order', async () => {
  const seen: unknown[] = [];
  const sub = await bus.subscribe('a', (event) => {
    seen.push(event.data);
    if (event.data === 1) sub.pause();
  });
  await Promise.all([1, 2, 3].map((n) => bus.publish('a', n)));
  await tick();
  expect(seen).toEqual([1]);
  sub.resume();
  await bus.publish('a', 4);
  await tick();
  expect(seen).toEqual([1, 2, 3, 4]);
});

test('an iterator gives events in order and unsubscribes when it is left', async () => {
  const events = bus.events('a');
  await events.ready();
  await Promise.all([1, 2, 3].map((n) => bus.publish('a', n)));
  const seen: unknown[] = [];
  for await (const event of events) {
    seen.push(event.data);
    if (seen.length === 2) break;
  }
  expect(seen).toEqual([1, 2]);
  await tick();
  expect(kinds().sort()).toEqual([
    Settlement.succeeded,
    Settlement.succeeded,
    Settlement.notHandled,
  ]);
  expect(bus.subscriberCount()).toBe(0);
});

test('an iterator ends with its client', async () => {
  const events = bus.events('a');
  await events.ready();
  const next = events.next();
  await bus.disconnect();
  expect(await next).toEqual({ done: true, value: undefined });
});

test('disconnect is idempotent, and final', async () => {
  const closed = jest.fn();
  bus.on('closed', closed);
  expect(bus.disconnect()).toBe(bus.disconnect());
  await bus.disconnect();
  expect(closed).toHaveBeenCalledTimes(1);
  await expect(bus.publish('a', 1)).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
  await expect(bus.subscribe('a', () => {})).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
  expect((await bus.healthCheck()).status).toBe('unhealthy');
  expect(bus.state).toBe('closed');
});

test('the process is held while something is unsettled, and let go after', async () => {
  const client = controls.clients[0]!;
  controls.silent = true;
  const abort = new AbortController();
  const call = bus.publish('a', 1, { signal: abort.signal });
  await tick();
  expect(client.held).toBe(true);
  abort.abort();
  await call.catch(() => {});
  await tick();
  expect(client.held).toBe(false);
  const sub = await bus.subscribe('a', () => {});
  await tick();
  expect(client.held).toBe(true);
  await sub.unsubscribe();
  await tick();
  expect(client.held).toBe(false);
});

test('a listener that throws or rejects does no harm', async () => {
  const seen = jest.fn();
  bus.on('warning', () => fail(new Error('x')));
  bus.on('warning', () => Promise.reject(new Error('x')));
  bus.once('warning', seen);
  controls.clients[0]!.notice({ event: 'warning', code: 'X', message: 'x' });
  controls.clients[0]!.notice({ event: 'warning', code: 'X', message: 'x' });
  await tick();
  expect(seen).toHaveBeenCalledTimes(1);
  expect(() => bus.on('nothing' as never, () => {})).toThrow(ValidationError);
});

test('the same listener, once and always', async () => {
  const seen = jest.fn();
  bus.on('ready', seen).once('ready', seen).on('ready', seen);
  for (let n = 0; n < 2; n += 1) controls.clients[0]!.notice({ event: 'ready' });
  await tick();
  expect(seen).toHaveBeenCalledTimes(5);
  bus.off('ready', seen).off('ready', seen);
  controls.clients[0]!.notice({ event: 'ready' });
  await tick();
  expect(seen).toHaveBeenCalledTimes(5);
});

test('schemas replace data on publish, sync and async, and refuse what does not fit', async () => {
  await bus.disconnect();
  const schema = (validate: (value: any) => any) => ({
    '~standard': { version: 1 as const, vendor: 'test', validate },
  });
  bus = new EventBusClient({
    logger: quiet,
    schemas: {
      sync: schema((value) => ({ value: value + 1 })),
      async: schema(async (value) => ({ value: value + 2 })),
      never: schema(() => ({ issues: [{ message: 'no', path: ['a', { key: 'b' }] }] })),
      broken: schema(() => fail(new Error('broken'))),
    },
  });
  const seen: unknown[] = [];
  await bus.subscribe('*', (event) => seen.push(event.data));
  await bus.publish('sync', 1);
  await bus.publish('async', 1);
  await tick();
  expect(seen).toEqual([2, 3]);
  await expect(bus.publish('never', 1)).rejects.toMatchObject({
    code: 'ERR_BUS_INVALID_DATA',
    path: 'data.a.b',
  });
  await expect(bus.publish('broken', 1)).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_DATA' });
});

test('instanceof is true across copies of the package, and not for strangers', async () => {
  const other = await new Promise<typeof import('../../ts/index')>((resolve) => {
    jest.isolateModules(() => resolve(require('../../ts/index')));
  });
  expect(other.EventBusError).not.toBe(EventBusError);
  const error = new other.ValidationError('ERR_BUS_INVALID_DATA', 'x');
  expect(error).toBeInstanceOf(ValidationError);
  expect(error).toBeInstanceOf(EventBusError);
  expect(error).not.toBeInstanceOf(TimeoutError);
  expect(new Error('x')).not.toBeInstanceOf(EventBusError);
  class Mine extends NonRetryableError {}
  expect(new NonRetryableError()).not.toBeInstanceOf(Mine);
  expect(new Mine()).toBeInstanceOf(HandlerError);
});

test('inspect and toJSON show no secret', () => {
  const { inspect } = require('node:util');
  const client = new EventBusClient({ redis: { password: 'hunter2' }, logger: quiet });
  expect(inspect(client, { depth: 9, showHidden: true })).not.toContain('hunter2');
  expect(JSON.stringify(client)).not.toContain('hunter2');
});
