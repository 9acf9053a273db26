/** Options that throw when they are read, and signals of one's own making. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import { EventBusClient, type EventBusError, ValidationError } from '../../ts/index';

let bus: any;
let client: FakeClient;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const tick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
const fault = new Error('hidden');
const rejection = (call: () => unknown): Promise<EventBusError> =>
  (async () => call())().then(
    () => Promise.reject(new Error('it resolved')),
    (error) => error,
  );

/** Objects that throw `fault`, or a TypeError, when they are read. */
const traps: [string, (key: string) => object][] = [
  ['a getter', (key) => Object.defineProperty({}, key, { enumerable: true, get: () => fail() })],
  ['a proxy', () => new Proxy({}, { ownKeys: () => fail() })],
  ['a revoked proxy', () => revoked()],
];

function fail(): never {
  throw fault;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
  client = controls.clients.at(-1)!;
});

afterEach(() => bus.disconnect());

const handler = () => {};
const calls: [string, string, (options: object) => unknown][] = [
  ['connect', 'timeout', (options) => bus.connect(options)],
  ['waitUntilReady', 'timeout', (options) => bus.waitUntilReady(options)],
  ['disconnect', 'timeout', (options) => bus.disconnect(options)],
  ['publish', 'id', (options) => bus.publish('a', 1, options)],
  ['broadcast', 'id', (options) => bus.broadcast('a', 1, options)],
  ['publishBatch', 'id', (options) => bus.publishBatch([], options)],
  ['the items of publishBatch', '0', (items) => bus.publishBatch(items)],
  [
    'an item of publishBatch',
    'data',
    async (item) => {
      const [result] = await bus.publishBatch([item]);
      throw result.reason;
    },
  ],
  ['subscribe', 'group', (options) => bus.subscribe('a', handler, options)],
  ['subscribeAll', 'subscribedTo', (projection) => bus.subscribeAll(projection)],
  ['the options of subscribeAll', 'group', (options) => bus.subscribeAll(projection, options)],
  ['events', 'group', (options) => bus.events('a', options).next()],
  [
    'unsubscribe',
    'wait',
    async (options) => (await bus.subscribe('a', handler)).unsubscribe(options),
  ],
  ['getHistory', 'type', (query) => bus.getHistory(query)],
  ['replay', 'stream', (query) => bus.replay(query)],
  ['streams.pending', 'limit', (options) => bus.streams.pending('s', 'g', options)],
  ['streams.recover', 'group', (options) => bus.streams.recover(options)],
  ['streams.trim', 'maxLength', (options) => bus.streams.trim('s', options)],
  ['deadLetters.list', 'limit', (query) => bus.deadLetters.list(query)],
  ['deadLetters.replay', 'to', (options) => bus.deadLetters.replay('x', options)],
  ['deadLetters.replayAll', 'to', (query) => bus.deadLetters.replayAll(query)],
];
const projection = { subscribedTo: () => ['a'], handle: handler };

describe.each(traps)('%s that throws is refused', (name, trap) => {
  test.each(calls)('%s', async (call, key, run) => {
    // An array, or an object with two functions, is asked for: read only as far as it looks like one.
    const shape =
      call === 'the items of publishBatch'
        ? new Proxy([], { get: () => fail() })
        : name === 'a proxy' && call === 'subscribeAll'
          ? new Proxy({}, { get: () => fail() })
          : trap(key);
    const error = await rejection(() => run(shape));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error.code).toBe('ERR_BUS_INVALID_OPTIONS');
    if (name === 'a revoked proxy') expect(error.cause).toBeDefined();
    else expect(error.cause).toBe(fault);
    expect(controls.requests.filter(([method]) => method !== 'subscribe')).toEqual([]);
  });

  test('the configuration', () => {
    let error: EventBusError | undefined;
    try {
      new EventBusClient(trap('serviceName'));
    } catch (thrown) {
      error = thrown as EventBusError;
    }
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_CONFIG' });
    expect(error?.cause).toBeDefined();
  });
});

test.each<[string, object]>([
  ['a text', { signal: 'x' }],
  ['no aborted', { signal: { addEventListener() {}, removeEventListener() {} } }],
  ['no removeEventListener', { signal: { aborted: false, addEventListener() {} } }],
  ['no boolean', { signal: { aborted: 0, addEventListener() {}, removeEventListener() {} } }],
  ['a revoked proxy', { signal: revoked() }],
])('a signal is refused: %s', async (_, options) => {
  for (const call of [bus.connect(options), bus.publish('a', 1, options)]) {
    const error = await rejection(() => call);
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'signal' });
  }
});

test('a signal that throws when it is left holds nothing', async () => {
  const signal = { aborted: false, addEventListener() {}, removeEventListener: fail };
  expect(await rejection(() => bus.connect({ signal }))).toBe(fault);
  await tick();
  expect(client.held).toBe(false);
});

test('positions are what the types say', async () => {
  const message = "from: expected 'new', 'beginning', a message id or a Date, got a number";
  const error = await rejection(() => bus.subscribe('a', handler, { group: 'g', from: 5 }));
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'from', message });
  expect(await rejection(() => bus.streams.setPosition('s', 'g', 5))).toMatchObject({ path: 'id' });
  expect(controls.requests).toEqual([]);
});

test('a client that closes knows what it has not sent', async () => {
  bus = new EventBusClient({ logger: quiet, performance: { batchInterval: 60_000 } });
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let late: Promise<EventBusError> | undefined;
  await bus.subscribe('a', async () => {
    await gate;
    late = rejection(() => bus.publish('b', 1));
  });
  await bus.publishBatch([{ type: 'a', data: 1 }]);
  await tick();
  const closing = bus.disconnect();
  open();
  await closing;
  expect(await late).toMatchObject({ code: 'ERR_BUS_CLOSED', outcome: 'not_sent' });
});
