/** Durable events through the TypeScript face, against a fake of the native module. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import type { BatchContext, GroupContext } from '../..';
import { EventBusClient, type EventBusError, NonRetryableError } from '../../ts/index';
import { Settlement } from '../../ts/native/settlement';
import { event, fail, kinds, quiet, tick } from '../support/durable-events';

let bus: EventBusClient;
let client: FakeClient;
const open = (config: object = {}) => {
  bus = new EventBusClient({ logger: quiet, ...config });
  client = controls.clients.at(-1)!;
};

beforeEach(() => {
  reset();
  open();
});

afterEach(() => bus.disconnect());

test('a durable event comes with its place', async () => {
  const seen: [number, GroupContext][] = [];
  const handler = (event: any, ctx: GroupContext) => seen.push([event.data, ctx]);
  const sub = await bus.subscribe('a', handler, { group: 'g' });
  expect(sub.group).toBe('g');
  client.entries('g', [
    ['1-0', event(1)],
    ['1-1', event(2)],
  ]);
  client.entries('g', [['2-0', event(3)]], { attempt: 2, deliveries: 4, channel: 'x' } as object);
  await tick();
  expect(seen.map(([data]) => data)).toEqual([1, 2, 3]);
  const place = { stream: 's', group: 'g', pattern: 'a' };
  expect(seen.map(([, ctx]) => ctx)).toMatchObject([
    { ...place, messageId: '1-0', deliveryCount: 1, attempt: 1, channel: 'a' },
    { ...place, messageId: '1-1', deliveryCount: 1, attempt: 1, channel: 'a' },
    { ...place, messageId: '2-0', deliveryCount: 4, attempt: 2, channel: 'x' },
  ]);
  expect(controls.settled.map(([token]) => token % 2 ** 31)).toEqual([0, 1, 2]);
  expect(controls.errors).toEqual([]);
});

test('a live subscription has no group, and its context no place', async () => {
  let ctx: object = {};
  const sub = await bus.subscribe('a', (_, context) => {
    ctx = context;
  });
  await bus.publish('a', 1);
  await tick();
  expect(sub.group).toBeUndefined();
  expect('messageId' in ctx).toBe(false);
});

test('a batch is one call and one settlement', async () => {
  const seen: [unknown[], BatchContext][] = [];
  const handler = (events: any[], ctx: BatchContext) => {
    seen.push([events.map(({ data }) => data), ctx]);
    if (seen.length === 2) fail(new Error('no'));
  };
  await bus.subscribe('a', handler, { group: 'g', batch: { size: 2 } });
  const entries: [string, object][] = [
    ['1-0', event(1)],
    ['2-0', event(2)],
  ];
  client.entries('g', entries, { batch: 2 });
  client.entries('g', entries, { batch: 2, streams: ['s', 't'] } as object);
  client.entries('g', [['3-0', event(3)]], { batch: 1 });
  await tick();
  expect(seen.map(([data]) => data)).toEqual([[1, 2], [1, 2], [3]]);
  expect(seen.map(([, ctx]) => ctx)).toMatchObject([
    { messageIds: ['1-0', '2-0'], streams: ['s', 's'], messageId: '1-0', stream: 's' },
    { messageIds: ['1-0', '2-0'], streams: ['s', 't'] },
    { messageIds: ['3-0'], streams: ['s'] },
  ]);
  expect(kinds()).toEqual([Settlement.succeeded, Settlement.failed, Settlement.succeeded]);
  expect(controls.errors).toHaveLength(1);
});

test('what a batch publishes inherits from none of its events', async () => {
  await bus.subscribe('a', () => bus.publish('b', 1), { group: 'g', batch: { size: 2 } } as never);
  client.entries('g', [['1-0', event(1)]], { batch: 1 });
  await tick();
  const [, options] = client.records[0]!.split('\n');
  expect(JSON.parse(options!)).toEqual({});
});

test('the error of a failure is set before the call is settled', async () => {
  const errors = [
    new TypeError('boom'),
    Object.assign(new Error('with a code'), { code: 'E_CODE', name: 'Custom' }),
    'a text',
    undefined,
    Object.create(null),
    new Proxy({}, { get: () => fail(new Error('trap')), getPrototypeOf: () => Error.prototype }),
    new Error(`\ud800${'ä'.repeat(10_000)}`),
  ];
  await bus.subscribe('a', (event) => fail(errors[event.data as number]), { group: 'g' });
  for (const n of errors.keys()) client.entries('g', [[`${n}-0`, event(n)]]);
  await tick();
  const told = controls.errors.map(([, error]) => error);
  expect(told.slice(0, 5)).toMatchObject([
    { name: 'TypeError', message: 'boom', stack: expect.stringContaining('durable.test.ts') },
    { name: 'Custom', message: 'with a code', code: 'E_CODE' },
    { name: 'Error', message: 'a text' },
    { name: 'Error', message: 'undefined' },
    { name: 'Error', message: 'a value that cannot be shown' },
  ]);
  expect(told[2]).toEqual({ name: 'Error', message: 'a text' });
  expect(Buffer.byteLength(told[6].message)).toBeLessThanOrEqual(4096);
  expect(Buffer.byteLength(told[6].stack)).toBeLessThanOrEqual(16_384);
  expect(told[6].message).toMatch(/^\ufffdä+$/);
  expect(controls.errors.map(([token]) => token)).toEqual(controls.settled.map(([token]) => token));
});

test('a failure is final when it is not retryable or the last, also while the client ends', async () => {
  const errors: EventBusError[] = [];
  bus.on('error', (error) => errors.push(error as EventBusError));
  const reject: ((error: Error) => void)[] = [];
  const handler = () => new Promise((_, no) => reject.push(no));
  await bus.subscribe('a', handler, { group: 'g', maxRetries: 1 });
  client.entries('g', [['1-0', event(1)]]);
  client.entries('g', [['2-0', event(2)]], { attempt: 2 } as object);
  client.entries('g', [['3-0', event(3)]]);
  client.entries('g', [['4-0', event(4)]]);
  await tick();
  reject[0]!(new Error('again'));
  reject[1]!(new Error('last'));
  reject[2]!(new NonRetryableError('never'));
  await tick();
  expect(errors.map(({ cause }) => (cause as Error).message)).toEqual(['last', 'never']);
  expect(kinds()).toEqual([Settlement.failed, Settlement.failed, Settlement.failedFinal]);
  const ended = bus.disconnect();
  reject[3]!(new Error('elsewhere'));
  await ended;
  expect(errors).toHaveLength(2);
});

test('the error of a call that takes too long is set', async () => {
  await bus.subscribe('a', () => new Promise(() => {}), { group: 'g', timeout: 1 });
  client.entries('g', [['1-0', event(1)]]);
  while (controls.settled.length === 0) await tick();
  expect(kinds()).toEqual([Settlement.timedOut]);
  expect(controls.errors[0]![1]).toMatchObject({
    name: 'TimeoutError',
    code: 'ERR_BUS_HANDLER_TIMEOUT',
  });
});

test('received events that do not fit are final, and fail their batch', async () => {
  await bus.disconnect();
  const validate = (data: any) => {
    const result = data < 0 ? { issues: [{ message: 'negative' }] } : { value: data * 10 };
    return data % 2 === 0 ? result : Promise.resolve(result);
  };
  const schema = { '~standard': { version: 1 as const, vendor: 'test', validate } };
  open({ schemas: { a: schema }, validateOnReceive: true });
  const seen: unknown[] = [];
  await bus.subscribe('a', (event) => seen.push(event.data), { group: 'g', retryIf: () => true });
  for (const data of [1, 2, -1, -2]) client.entries('g', [['1-0', event(data)]]);
  await tick();
  expect(seen.sort()).toEqual([10, 20]);
  expect(kinds().sort()).toEqual([
    Settlement.succeeded,
    Settlement.succeeded,
    Settlement.failedFinal,
    Settlement.failedFinal,
  ]);
  const batches: unknown[] = [];
  const handler = (events: any[]) => batches.push(events.map(({ data }) => data));
  await bus.subscribe('a', handler, { group: 'g', batch: { size: 3 } });
  const batch = (...all: number[]) =>
    client.entries(
      'g',
      all.map((data): [string, object] => [`${data}-0`, event(data)]),
      { batch: all.length },
    );
  batch(1, 2, 3);
  batch(1, -2, 3);
  batch(2, -1, -3);
  await tick();
  expect(batches).toEqual([[10, 20, 30]]);
  expect(kinds().slice(4).sort()).toEqual([
    Settlement.succeeded,
    Settlement.failedFinal,
    Settlement.failedFinal,
  ]);
  const messages = controls.errors.map(([, { message }]) => message);
  expect(messages.sort()).toEqual(
    [
      'data: negative',
      'data: negative',
      'event e-1: data: negative',
      'event e-2: data: negative',
    ].sort(),
  );
});

test('a lost claim aborts what runs, drops what waits, and is announced', async () => {
  const lost: unknown[] = [];
  const errors = jest.fn();
  bus.on('claimLost', (claim) => lost.push(claim)).on('error', errors);
  const signals: AbortSignal[] = [];
  const ends: (() => void)[] = [];
  const seen: unknown[] = [];
  const sub = await bus.subscribe(
    'a',
    (event, ctx) => {
      seen.push(event.data);
      signals.push(ctx.signal);
      return new Promise<void>((end, no) => ends.push(event.data === 1 ? end : () => no(1)));
    },
    { group: 'g', retryOnError: false },
  );
  const first = client.entries('g', [
    ['1-0', event(1)],
    ['2-0', event(2)],
  ]);
  await tick();
  sub.pause();
  const held = client.entries('g', [['3-0', event(3)]]);
  await tick();
  const notice = { event: 'claimLost', stream: 's', group: 'g' } as const;
  client.notice({ ...notice, tokens: [first], messageId: '1-0' });
  client.notice({ ...notice, tokens: [first + 1], messageId: '2-0' });
  client.notice({ ...notice, tokens: [held], messageId: '3-0' });
  client.notice({ ...notice, tokens: [7], messageId: '9-0' });
  await tick();
  const place = { stream: 's', group: 'g' };
  expect(lost).toEqual([
    { ...place, messageId: '1-0', eventId: 'e1' },
    { ...place, messageId: '2-0', eventId: 'e2' },
    { ...place, messageId: '3-0', eventId: 'e3' },
    { ...place, messageId: '9-0', eventId: null },
  ]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(signals[0]!.reason).toMatchObject({ code: 'ERR_BUS_ABORTED' });
  expect(signals[0]!.reason.message).toContain('claim');
  sub.resume();
  for (const end of ends) end();
  await tick();
  expect(seen).toEqual([1, 2]);
  // Both settle as they end: a success counts, and what is not theirs is ignored by the engine.
  expect(kinds().sort()).toEqual(
    [Settlement.succeeded, Settlement.failed, Settlement.notHandled].sort(),
  );
  expect(errors).not.toHaveBeenCalled();
});

test('a lost claim of a batch names the event of the entry', async () => {
  const lost: unknown[] = [];
  bus.on('claimLost', ({ eventId }) => lost.push(eventId));
  const handler = (_: unknown[], { signal }: BatchContext) =>
    new Promise<void>((end) => signal.addEventListener('abort', () => end()));
  await bus.subscribe('a', handler, { group: 'g', batch: { size: 2 } });
  const entries: [string, object][] = [
    ['1-0', event(1)],
    ['2-0', event(2)],
  ];
  const token = client.entries('g', entries, { batch: 2 });
  await tick();
  const place = { stream: 's', group: 'g', messageId: '2-0' };
  client.notice({ event: 'claimLost', tokens: [token], ...place });
  await tick();
  expect(lost).toEqual(['e2']);
});

test('a paused durable subscription handles what it holds after resume, with its place', async () => {
  const ids: string[] = [];
  const sub = await bus.subscribe('a', (_, ctx) => ids.push(ctx.messageId), { group: 'g' });
  sub.pause();
  client.entries('g', [['1-0', event(1)]]);
  await tick();
  expect(ids).toEqual([]);
  sub.resume();
  await tick();
  expect(ids).toEqual(['1-0']);
});

test('a stored publish tells where', async () => {
  controls.stored.set('a', 0);
  const results = await Promise.all([
    bus.publish('a', 1),
    bus.publish('b', 1),
    bus.publish('a', 2),
  ]);
  expect(results).toMatchObject([
    { stream: 's', messageId: '1-0', receivers: 1, channel: 'a' },
    { type: 'b', receivers: 1 },
    { stream: 's', messageId: '2-0' },
  ]);
  for (const result of results) expect(result).not.toHaveProperty('duplicate');
  expect(results[1]).not.toHaveProperty('stream');
  const again = await bus.publish('a', 2, { id: 'own', deduplicate: true });
  expect(again).toMatchObject({ eventId: 'own', messageId: '2-0', duplicate: true });
});

test('an event that too few replicas have is stored all the same', async () => {
  const failure = { code: 'ERR_BUS_NOT_REPLICATED', message: 'x', outcome: 'unknown' } as const;
  controls.failures = [{ ...failure, messageId: '1-0' }];
  const error = await bus.publish('a', 1, { stream: 's', replicas: 1 }).catch((e) => e);
  expect(error).toMatchObject({ ...failure, messageId: '1-0' });
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({ messageId: '1-0' });
});

test('places in options cross as JSON can hold them', async () => {
  const from = new Date(5);
  await bus.subscribe('a', () => {}, { group: 'g', from, streams: 's' });
  expect(controls.requests.at(-1)).toEqual(['subscribe', { group: 'g', from: 5, streams: ['s'] }]);
  const bad = { group: 'g', from: new Date(Number.NaN) };
  await expect(bus.subscribe('a', () => {}, bad)).rejects.toMatchObject({ path: 'from' });
});

test('notices of durable events become events of the client', async () => {
  const seen: unknown[] = [];
  bus
    .on('deadLetter', (letter) => seen.push(letter))
    .on('messagesLost', (lost) => seen.push(lost))
    .on('groupRecreated', (group) => seen.push(group));
  const place = { stream: 's', group: 'g' };
  const error = { name: 'TypeError', message: 'boom' };
  const letter = { ...place, messageId: '1-0', attempts: 4, reason: 'failed', error, kept: true };
  client.notice({ event: 'deadLetter', ...letter, data: JSON.stringify(event(1)) });
  client.notice({ event: 'deadLetter', ...letter, data: null });
  client.notice({ event: 'messagesLost', ...place, count: 3, from: '1-0', to: '5-0' });
  client.notice({ event: 'groupRecreated', ...place, from: '0-0' });
  await tick();
  expect(seen).toEqual([
    { ...letter, event: event(1) },
    { ...letter, event: null },
    { ...place, count: 3, from: '1-0', to: '5-0' },
    { ...place, from: '0-0' },
  ]);
});
