/** Durable events through the TypeScript face, against a fake of the native module. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import type { BatchContext, GroupContext } from '../..';
import { EventBusClient, type EventBusError, NonRetryableError } from '../../ts/index';

let bus: EventBusClient;
let client: FakeClient;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const tick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
const open = (config: object = {}) => {
  bus = new EventBusClient({ logger: quiet, ...config });
  client = controls.clients.at(-1)!;
};

beforeEach(() => {
  reset();
  open();
});

afterEach(() => bus.disconnect());

const metadata = { timestamp: '2026-01-01T00:00:00.000Z', source: 'x', correlationId: 'c' };
const event = (n: number, data: unknown = n) => ({ id: `e${n}`, type: 'a', data, metadata });
const kinds = () => controls.settled.map(([, kind]) => kind);
const SUCCEEDED = 0;
const FAILED = 1;
const FINAL = 2;
const TIMED_OUT = 4;
const NOT_HANDLED = 7;

function fail(value: unknown): never {
  throw value;
}

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
  expect(controls.explained).toEqual([]);
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
  expect(kinds()).toEqual([SUCCEEDED, FAILED, SUCCEEDED]);
  expect(controls.explained).toHaveLength(1);
});

test('what a batch publishes inherits from none of its events', async () => {
  await bus.subscribe('a', () => bus.publish('b', 1), { group: 'g', batch: { size: 2 } } as never);
  client.entries('g', [['1-0', event(1)]], { batch: 1 });
  await tick();
  const [, options] = client.records[0]!.split('\n');
  expect(JSON.parse(options!)).toEqual({});
});

test('a failure is explained before it is settled', async () => {
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
  const explained = controls.explained.map(([, error]) => error);
  expect(explained.slice(0, 5)).toMatchObject([
    { name: 'TypeError', message: 'boom', stack: expect.stringContaining('durable.test.ts') },
    { name: 'Custom', message: 'with a code', code: 'E_CODE' },
    { name: 'Error', message: 'a text' },
    { name: 'Error', message: 'undefined' },
    { name: 'Error', message: 'a value that cannot be shown' },
  ]);
  expect(explained[2]).toEqual({ name: 'Error', message: 'a text' });
  expect(Buffer.byteLength(explained[6].message)).toBeLessThanOrEqual(4096);
  expect(Buffer.byteLength(explained[6].stack)).toBeLessThanOrEqual(16_384);
  expect(explained[6].message).toMatch(/^\ufffdä+$/);
  expect(controls.explained.map(([token]) => token)).toEqual(
    controls.settled.map(([token]) => token),
  );
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
  expect(kinds()).toEqual([FAILED, FAILED, FINAL]);
  const ended = bus.disconnect();
  reject[3]!(new Error('elsewhere'));
  await ended;
  expect(errors).toHaveLength(2);
});

test('a call that takes too long is explained', async () => {
  await bus.subscribe('a', () => new Promise(() => {}), { group: 'g', timeout: 1 });
  client.entries('g', [['1-0', event(1)]]);
  while (controls.settled.length === 0) await tick();
  expect(kinds()).toEqual([TIMED_OUT]);
  expect(controls.explained[0]![1]).toMatchObject({
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
  expect(kinds().sort()).toEqual([SUCCEEDED, SUCCEEDED, FINAL, FINAL]);
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
  expect(kinds().slice(4).sort()).toEqual([SUCCEEDED, FINAL, FINAL]);
  const messages = controls.explained.map(([, { message }]) => message);
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
  const notice = { event: 'claimLost', stream: 's', group: 'g' };
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
  expect(kinds().sort()).toEqual([SUCCEEDED, FAILED, NOT_HANDLED].sort());
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

describe('an iterator', () => {
  const entries = (...all: number[]) =>
    client.entries(
      'g',
      all.map((n): [string, object] => [`${n}-0`, event(n)]),
    );
  const settled = () => controls.settled.map(([token, kind]) => [token % 2 ** 31, kind]).sort();

  test('acknowledges an event when the next one is asked for', async () => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    entries(1, 2);
    await tick();
    expect((await events.next()).value).toMatchObject({ data: 1 });
    await tick();
    expect(settled()).toEqual([]);
    expect((await events.next()).value).toMatchObject({ data: 2 });
    await tick();
    expect(settled()).toEqual([[0, SUCCEEDED]]);
    await events.return();
    await tick();
    expect(settled()).toEqual([
      [0, SUCCEEDED],
      [1, NOT_HANDLED],
    ]);
  });

  test.each<[string, (events: any) => Promise<unknown>]>([
    [
      'break',
      async (events) => {
        for await (const _ of events) break;
      },
    ],
    [
      'throw',
      async (events) => {
        for await (const _ of events) throw new Error('left');
      },
    ],
    ['return', async (events) => [await events.next(), await events.return()]],
    ['throw()', async (events) => [await events.next(), await events.throw(new Error('left'))]],
    ['dispose', async (events) => [await events.next(), await events[Symbol.asyncDispose]()]],
  ])('hands back what is in hand and what waits on %s', async (_, leave) => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    entries(1, 2);
    await tick();
    await leave(events).catch(() => {});
    await tick();
    expect(settled()).toEqual([
      [0, NOT_HANDLED],
      [1, NOT_HANDLED],
    ]);
    expect(controls.explained).toEqual([]);
    expect(bus.subscriberCount()).toBe(0);
  });

  test('keeps what is in hand when the client ends, until it is done', async () => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    entries(1, 2);
    await events.next();
    let end = () => {};
    const disconnect = client.disconnect.bind(client);
    jest.spyOn(client, 'disconnect').mockImplementation((ticket) => {
      end = () => disconnect(ticket);
    });
    void bus.disconnect();
    await tick();
    expect(settled()).toEqual([[1, NOT_HANDLED]]);
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await tick();
    expect(settled()).toEqual([
      [0, SUCCEEDED],
      [1, NOT_HANDLED],
    ]);
    end();
  });

  test('skips what another consumer has taken over', async () => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    const token = entries(1, 2, 3);
    await tick();
    const place = { stream: 's', group: 'g', messageId: '2-0' };
    client.notice({ event: 'claimLost', tokens: [token + 1], ...place });
    await tick();
    expect((await events.next()).value).toMatchObject({ data: 1 });
    expect((await events.next()).value).toMatchObject({ data: 3 });
  });

  test('has no batches', async () => {
    const events = bus.events('a', { group: 'g', batch: { size: 2 } } as never);
    await expect(events.next()).rejects.toMatchObject({ path: 'batch' });
  });
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
  const failure = { code: 'ERR_BUS_NOT_REPLICATED', message: 'x', outcome: 'unknown' };
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

/** What a replay of one event comes to. */
const REPLAYED = { replayed: 1, failed: 0, truncated: false, firstId: '5-0', lastId: '5-0' };

describe('administration', () => {
  const date = new Date(5);
  const letter = { id: 's:dlq:1-0', stream: 's', event: null };
  test.each<[string, () => Promise<unknown>, object, unknown?, unknown?]>([
    ['streams.info', () => bus.streams.info('s'), { name: 's' }, { name: 's' }],
    ['streams.list', () => bus.streams.list(), {}, []],
    ['streams.pending', () => bus.streams.pending('s', 'g'), { name: 's', group: 'g' }, []],
    [
      'streams.pending',
      () => bus.streams.pending('s', 'g', { limit: 5 }),
      { name: 's', group: 'g', limit: 5 },
      [],
    ],
    ['streams.recover', () => bus.streams.recover({ group: 'g' }), { group: 'g' }, { checked: 1 }],
    ['streams.trim', () => bus.streams.trim('s', { before: date }), { name: 's', before: 5 }, 3],
    [
      'streams.setPosition',
      () => bus.streams.setPosition('s', 'g', date),
      { name: 's', group: 'g', id: 5 },
      null,
      undefined,
    ],
    [
      'streams.removeGroup',
      () => bus.streams.removeGroup('s', 'g'),
      { name: 's', group: 'g' },
      true,
    ],
    [
      'deadLetters.list',
      () => bus.deadLetters.list({ stream: 's', after: 'x' }),
      { stream: 's', after: 'x' },
      [{ ...letter, event: JSON.stringify(event(1)) }, letter],
      [{ ...letter, event: event(1) }, letter],
    ],
    ['deadLetters.get', () => bus.deadLetters.get('x'), { id: 'x' }, letter],
    ['deadLetters.get', () => bus.deadLetters.get('x'), { id: 'x' }, null],
    [
      'deadLetters.replay',
      () => bus.deadLetters.replay('x', { to: 'stream' }),
      { id: 'x', to: 'stream' },
      { messageId: '1-0' },
    ],
    ['deadLetters.replayAll', () => bus.deadLetters.replayAll(), {}, 3],
    ['deadLetters.remove', () => bus.deadLetters.remove('x'), { id: 'x' }, false],
    ['deadLetters.purge', () => bus.deadLetters.purge('s'), { stream: 's' }, 3],
    ['deadLetters.count', () => bus.deadLetters.count(), {}, 3],
    ['getEvent', () => bus.getEvent('x'), { id: 'x' }, JSON.stringify(event(1)), event(1)],
    ['getEvent', () => bus.getEvent('x'), { id: 'x' }, null],
    [
      'getHistory',
      () => bus.getHistory({ type: 'a.*', from: date, to: 7, order: 'desc' }),
      { type: 'a.*', from: 5, to: 7, order: 'desc' },
      [JSON.stringify(event(1))],
      [event(1)],
    ],
    [
      'replay.group',
      () => bus.replay({ stream: 's', from: date, group: 'g' }),
      { stream: 's', from: 5, group: 'g', limit: 64 },
      { ...REPLAYED, last: '5/s:5-0', done: true },
      REPLAYED,
    ],
  ])('%s', async (method, call, args, answer, expected = answer) => {
    controls.answers[method] = () => answer;
    expect(await call()).toEqual(expected ?? (method === 'streams.setPosition' ? undefined : null));
    expect(controls.requests).toEqual([[method, args]]);
  });

  test('what is wrong is refused where it was called', async () => {
    const refused = { code: 'ERR_BUS_NO_STREAM', message: 'there is no stream' };
    controls.answers['streams.info'] = () => fail(refused);
    async function caller() {
      await bus.streams.info('s');
    }
    const error = await caller().catch((e) => e);
    expect(error).toMatchObject(refused);
    expect(error.stack.split('\n')[1]).toContain('durable.test.ts');
    for (const [call, path] of [
      [() => bus.streams.pending('s', 'g', { name: 'x' } as never), 'name'],
      [() => bus.streams.info((() => {}) as never), 'name'],
      [() => bus.deadLetters.list({ limit: 1n } as never), 'limit'],
      [() => bus.streams.trim('s', { before: new Date(Number.NaN) }), 'before'],
      [() => bus.replay({ stream: 's' } as never), 'handler'],
      [() => bus.replay({ stream: 's', handler() {}, group: 'g' } as never), 'group'],
      [() => bus.replay({ stream: 's', handler() {}, limit: 0 }), 'limit'],
      [() => bus.replay({ stream: 's', handler() {}, until: 5 } as never), 'until'],
    ] as const) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
    }
    await bus.disconnect();
    await expect(bus.streams.list()).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
  });
});

describe('replay', () => {
  const page = (numbers: number[], rest: object = {}) => ({
    events: numbers.map((n) => ({ id: `${n}-0`, stream: 's', event: JSON.stringify(event(n)) })),
    last: numbers.length === 0 ? null : `cursor ${numbers.at(-1)}`,
    truncated: false,
    done: false,
    undecodable: 0,
    ...rest,
  });

  test('goes through the pages one event after the other', async () => {
    const pages = [
      page([1, 2], { truncated: true }),
      page([], { last: 'cursor x', undecodable: 1 }),
      page([3, 4], { done: true }),
    ];
    controls.answers['replay.page'] = () => pages.shift();
    const seen: unknown[] = [];
    let running = 0;
    const result = await bus.replay({
      pattern: 'a*',
      from: new Date(5),
      async handler(event, ctx) {
        expect(++running).toBe(1);
        await tick();
        running -= 1;
        const { stream, messageId, attempt, pattern, channel } = ctx;
        seen.push([event.data, stream, messageId, attempt, pattern, channel]);
        if (event.data === 2) fail(new Error('no'));
      },
    });
    expect(result).toEqual({
      replayed: 3,
      failed: 2,
      truncated: true,
      firstId: '1-0',
      lastId: '4-0',
    });
    expect(seen[0]).toEqual([1, 's', '1-0', 1, 'a*', 'a']);
    const asked = controls.requests.map(([, { after, from }]) => [after, from]);
    expect(asked).toEqual([
      [undefined, 5],
      ['cursor 2', 5],
      ['cursor x', 5],
    ]);
    expect(controls.settled).toEqual([]);
  });

  test('stops at its limit', async () => {
    controls.answers['replay.page'] = ({ limit }) => page([1, 2, 3].slice(0, limit));
    const handler = jest.fn();
    expect(await bus.replay({ stream: 's', limit: 4, handler })).toMatchObject({ replayed: 4 });
    expect(controls.requests.map(([, { limit }]) => limit)).toEqual([4, 1]);
  });

  test('stops when its signal aborts, which its handler sees', async () => {
    controls.answers['replay.page'] = () => page([1, 2]);
    const abort = new AbortController();
    const handler = jest.fn(async (_: unknown, { signal }: { signal: AbortSignal }) => {
      abort.abort(new Error('why'));
      expect(signal.aborted).toBe(true);
    });
    const call = bus.replay({ stream: 's', handler, signal: abort.signal });
    const error = await call.catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_BUS_ABORTED', cause: { message: 'why' } });
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test('stops when the client ends', async () => {
    controls.answers['replay.page'] = () => page([1, 2]);
    const handler = jest.fn(async (_: unknown, { signal }: { signal: AbortSignal }) => {
      void bus.disconnect();
      expect(signal.aborted).toBe(true);
    });
    const call = bus.replay({ stream: 's', handler });
    await expect(call).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test('events that its handler publishes inherit from the replayed one', async () => {
    controls.answers['replay.page'] = () => page([1], { done: true });
    await bus.replay({
      stream: 's',
      async handler() {
        await tick();
        await bus.publish('b', 1);
      },
    });
    const [, options] = client.records[0]!.split('\n');
    expect(JSON.parse(options!)).toEqual({ correlationId: 'c', causationId: 'e1' });
  });
});
