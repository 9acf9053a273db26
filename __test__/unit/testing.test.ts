/** The test bus against a fake of the native module: its clock, and what goes by it. */

import { controls, type FakeBroker, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import type { EventBusConfig } from '../..';
import type { TestBus } from '../../testing';
import { EventBusClient, TimeoutError, ValidationError } from '../../ts/index';
import { Settlement } from '../../ts/native/settlement';
import { createTestBus } from '../../ts/testing';

let bus: TestBus;
let client: FakeClient;
let broker: FakeBroker;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const open = (config: EventBusConfig = {}) => {
  bus = createTestBus({ logger: quiet, ...config });
  client = controls.clients.at(-1)!;
  broker = controls.brokers.at(-1)!;
};

beforeEach(() => {
  reset();
  open();
});

afterEach(() => bus.disconnect());

const turns = async (count: number) => {
  for (let n = 0; n < count; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('it is a client with a broker and a clock of its own', async () => {
  expect(bus).toBeInstanceOf(EventBusClient);
  expect(broker.virtual).toBe(true);
  expect(controls.brokers).toHaveLength(1);
  const before = bus.now();
  await bus.advance(1500.7);
  expect(bus.now()).toBe(before + 1500);
  await Promise.all([bus.advance(10), bus.advance(20)]);
  expect(bus.now()).toBe(before + 1530);
});

test.each([[-1], [Number.NaN], [Number.POSITIVE_INFINITY], ['5'], [undefined]])(
  'it cannot be moved by %p',
  async (ms) => {
    const error = await bus.advance(ms as number).catch((e) => e);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'ms' });
    expect(error.stack.split('\n')[1]).toContain('testing.test.ts');
  },
);

test('while only a handler is at work it looks no more than once a millisecond', async () => {
  let end = () => {};
  await bus.subscribe('a', () => new Promise<void>((resolve) => (end = resolve)));
  await bus.publish('a', 1);
  const looks = jest.spyOn(client, 'isIdle');
  const settled = bus.settled();
  const start = performance.now();
  // So many turns of the event loop take far less than a millisecond each.
  await turns(5000);
  const elapsed = performance.now() - start;
  expect(looks.mock.calls.length).toBeLessThan(2 * elapsed + 50);
  end();
  await settled;
});

test('a configuration for a server will do, and a wrong one is refused', () => {
  open({ redis: 'redis://nowhere', mode: 'redis', memory: 'x' });
  expect(bus.toJSON().mode).toBe('memory');
  for (const config of ['x', null, { logger: 1 }]) {
    expect(() => createTestBus(config as never)).toThrow(ValidationError);
    expect(() => bus.client(config as never)).toThrow(ValidationError);
  }
});

test('a handler is timed out when its time is over on the clock', async () => {
  let signal: AbortSignal | undefined;
  await bus.subscribe(
    'a',
    (_, ctx) => {
      signal = ctx.signal;
      return new Promise(() => {});
    },
    { timeout: 30_000 },
  );
  await bus.publish('a', 1);
  await bus.advance(29_999);
  expect(signal?.aborted).toBe(false);
  expect(controls.settled).toEqual([]);
  await bus.advance(1);
  expect(signal?.reason).toBeInstanceOf(TimeoutError);
  expect(controls.settled.map(([, kind]) => kind)).toEqual([Settlement.timedOut]);
});

test('publishes wait and are tried again on the clock', async () => {
  await bus.disconnect();
  open({ performance: { maxRetries: 2, retryDelay: 100, batchInterval: 50 } });
  const lost = { code: 'ERR_BUS_CONNECTION_LOST', message: 'gone', outcome: 'not_sent' } as const;
  controls.failures = [lost, lost];
  const call = bus.publish('a', 1);
  const times: number[] = [];
  const publish = client.publish.bind(client);
  jest.spyOn(client, 'publish').mockImplementation((...args) => {
    times.push(bus.now() - start);
    publish(...args);
  });
  const start = bus.now();
  await bus.advance(1000);
  expect(await call).toMatchObject({ type: 'a' });
  expect(times).toEqual([50, 200, 350]);
});

test('the clock stops wherever something is due, and what runs then sees that time', async () => {
  const seen: [string, number][] = [];
  const start = bus.now();
  const at = (name: string) => seen.push([name, bus.now() - start]);
  await bus.subscribe('a', async (event) => {
    await turns(2);
    at(`handler ${event.data}`);
  });
  broker.later(10, () => {
    at('first');
    void bus.publish('a', 1);
    broker.later(5, () => void bus.publish('a', 2));
  });
  broker.later(100, () => at('never'));
  await bus.advance(99);
  expect(seen).toEqual([
    ['first', 10],
    ['handler 1', 10],
    ['handler 2', 15],
  ]);
  expect(bus.now()).toBe(start + 99);
});

test('settled waits for handlers and for the engine, not for what is due later', async () => {
  let ended = false;
  controls.answers['streams.list'] = async () => {
    await turns(20);
    return [];
  };
  await bus.subscribe('a', async () => {
    await turns(20);
    await bus.streams.list();
    ended = true;
  });
  broker.later(10, () => {});
  await bus.publish('a', 1);
  await bus.settled();
  expect(ended).toBe(true);
  expect(controls.settled.map(([, kind]) => kind)).toEqual([Settlement.succeeded]);
});

test('settled does not wait for what an iterator holds', async () => {
  const events = bus.events('a');
  await events.ready();
  await bus.publish('a', 1);
  await bus.settled();
  expect((await events.next()).value).toMatchObject({ data: 1 });
  await bus.settled();
});

test('what was published through it can be looked at', async () => {
  await bus.disconnect();
  const schema = (value: unknown) => ({
    '~standard': { version: 1 as const, vendor: 'test', validate: () => ({ value }) },
  });
  open({ schemas: { 'b.parsed': schema({ parsed: true }) }, serviceName: 'ignored by the fake' });
  controls.stored.set('a.stored', 0);
  await Promise.all([
    bus.publish('a.stored', { n: 1 }, { id: 'own', key: 'k', metadata: { extra: 1 } }),
    bus.publish('b.parsed', {}, { timestamp: 0, source: 'other', correlationId: 'c' }),
    bus.publish('a.stored', 2),
  ]);
  await bus.publish('a.stored', 3, { id: 'again', deduplicate: true });
  controls.failures = [{ code: 'ERR_BUS_CLOSED', message: 'x' }];
  await bus.publish('a.failed', 1).catch(() => {});
  await bus.client({ logger: quiet }).publish('a.other', 1);
  const instanceId = bus.instanceId;
  const timestamp = '2026-01-01T00:00:00.000Z';
  const [first, second, third] = bus.published();
  expect(bus.published()).toHaveLength(3);
  expect(first).toEqual({
    id: 'own',
    type: 'a.stored',
    data: { n: 1 },
    metadata: { timestamp, source: 'fake', instanceId, correlationId: 'own', key: 'k', extra: 1 },
  });
  expect(second).toMatchObject({
    type: 'b.parsed',
    data: { parsed: true },
    metadata: { timestamp: '1970-01-01T00:00:00.000Z', source: 'other', correlationId: 'c' },
  });
  expect(third).toMatchObject({ data: 2 });
  expect(bus.published('a.*').map(({ data }) => data)).toEqual([{ n: 1 }, 2]);
  expect(() => bus.published(5 as never)).toThrow(ValidationError);
});

test('what was published inherits as it does', async () => {
  await bus.subscribe('a', () => void bus.publish('b', 1));
  const { eventId } = await bus.publish('a', 1, { correlationId: 'c' });
  await bus.settled();
  const [effect] = bus.published('b');
  expect(effect?.metadata).toMatchObject({ correlationId: 'c', causationId: eventId });
});

test('other clients live on the same broker and clock, and end with it', async () => {
  const other = bus.client<{ a: number }>({ logger: quiet });
  expect(controls.brokers).toHaveLength(1);
  let aborted: AbortSignal | undefined;
  await other.subscribe(
    'a',
    (_, { signal }) => {
      aborted = signal;
      return new Promise(() => {});
    },
    { timeout: 50 },
  );
  await other.publish('a', 1);
  await bus.advance(50);
  expect(aborted?.aborted).toBe(true);
  expect(bus.published()).toEqual([]);
  await expect(bus.disconnect({ timeout: -1 })).rejects.toBeInstanceOf(ValidationError);
  expect(other.state).toBe('ready');
  const ended = bus.disconnect();
  expect(bus.close()).toBe(ended);
  await ended;
  expect([bus.state, other.state]).toEqual(['closed', 'closed']);
  await bus.advance(5);
  await bus.settled();
});

test('a client of its own configuration object is no resident', () => {
  const config: EventBusConfig = { logger: quiet };
  const before = controls.brokers.length;
  const client = new EventBusClient(config);
  expect(controls.brokers.length).toBe(before + 1);
  expect(controls.brokers.at(-1)?.virtual).toBe(false);
  return client.disconnect();
});
