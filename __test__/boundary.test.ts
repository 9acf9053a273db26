/** What really crosses the boundary has the types that are declared for it, in memory, on Redis and in hybrid mode. */

import { EventBusClient, type EventBusConfig } from '..';
import type { Drained } from '../ts/native/drained';
import type { NativeModule, Notice, RunInfo } from '../ts/native/native';
import { Crossings } from './support/crossings';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger, onBothTransports } from './support/transports';

const native: NativeModule = require('../native.js');
const crossings = new Crossings();
crossings.record(native.NativeClient);

const STREAMS = [
  { name: 'orders', events: 'order.*' },
  { name: 'bills', events: 'bill.*' },
];
const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const AT_ONCE = { initialDelay: 1, jitter: 'none' as const };

function fail(): never {
  throw new Error('no');
}

/** Whether a drain so far has had such a member. */
function has<K extends keyof Drained>(
  member: K,
  fits: (one: NonNullable<Drained[K]>[number]) => boolean = () => true,
): boolean {
  return crossings.drained.some((one) => (one[member] as never[] | undefined)?.some(fits));
}

const hasNotice = (kind: Notice['event']) => has('notices', ({ event }) => event === kind);
const hasInfo = (fits: (info: RunInfo) => boolean) =>
  has('deliveries', ([, , , info]) => info !== 0 && fits(info));

onBothTransports((bench) => {
  const open = (config: EventBusConfig = {}) => bench.open({ streams: STREAMS, ...config });

  test('live events, in all their shapes', async () => {
    const bus = await open();
    let calls = 0;
    await bus.subscribe(['b', 'a'], () => ++calls < 2 && fail(), { maxRetries: 1, retry: AT_ONCE });
    const texts: string[] = [];
    await bus.subscribe('*', ({ data }) => texts.push(data.text), { data: 'raw' });
    await bus.joinRoom('r');
    await bus.publish('a', 1, { correlationId: 'c', causationId: 'd', metadata: { extra: 1 } });
    await bus.publish('b', { text: 'ä "quoted"' }, { id: 'given' });
    await bus.publishToRoom('r', 'a', null);
    await eventually(() => calls === 4 && texts.length === 3);
    expect(await rejection(bus.publish('', 1))).toMatchObject({ code: 'ERR_BUS_INVALID_TYPE' });
    expect(await rejection(bus.publish('a', 1, { delay: -1 } as never))).toBeDefined();
    expect(await bus.getRoomMembers('r')).toHaveLength(1);
    expect(hasInfo(({ pattern }) => pattern === 1)).toBe(true);
    expect(hasInfo(({ attempt }) => attempt === 2)).toBe(true);
    await bus.healthCheck();
    bus.getStats();
  });

  test('values that come again', async () => {
    const bus = await open();
    const prices: number[] = [];
    await bus.subscribe('again', ({ data }) => prices.push(data.price));
    for (const price of [1, 1.5, 2]) await bus.publish('again', { state: 'shipped', price });
    await eventually(() => prices.length === 3);
    expect(prices).toEqual([1, 1.5, 2]);
  });

  test('stored events, one at a time and in batches', async () => {
    const bus = await open();
    let seen = 0;
    const count = () => {
      seen += 1;
    };
    await bus.publish('order.placed', 1, { id: 'same', deduplicate: true });
    await bus.publish('order.placed', 1, { id: 'same', deduplicate: true });
    await bus.publish('order.placed', 2);
    await bus.publish('bill.sent', 3);
    await bus.subscribe('order.*', count, { group: 'single', from: 'beginning' });
    await bus.subscribe(['bill.*', 'order.*'], count, {
      group: 'batches',
      from: 'beginning',
      batch: { size: 3, wait: 1000 },
    });
    await eventually(() => seen === 3);
    expect(hasInfo(({ streams }) => streams?.length === 3)).toBe(true);
    expect(hasInfo(({ group, batch }) => group === 'single' && batch === undefined)).toBe(true);
  });

  test('failures, and everything that can be asked', async () => {
    const bus = await open();
    await bus.subscribe('order.*', fail, { group: 'g', maxRetries: 0, from: 'beginning' });
    for (const data of [1, 2, 3]) await bus.publish('order.failed', data);
    await eventually(async () => (await bus.deadLetters.count('orders')) >= 3);
    const [letter, next] = await bus.deadLetters.list({ stream: 'orders' });
    await bus.deadLetters.get(letter!.id);
    await bus.deadLetters.get('orders:1-1').catch(() => null);
    await bus.deadLetters.replay(letter!.id);
    await bus.deadLetters.remove(next!.id);
    await bus.deadLetters.replayAll({ stream: 'orders', to: 'stream' });
    await bus.deadLetters.purge('orders');
    await bus.streams.info('orders');
    await bus.streams.list({ scan: true });
    await bus.streams.exists('orders');
    const held = bus.events('order.*', { group: 'held', from: 'beginning' });
    const { value } = await held.next();
    await bus.streams.pending('orders', 'held');
    await bus.streams.recover({ stream: 'orders', group: 'held', minIdle: 0 });
    await held.return?.();
    await bus.streams.setPosition('orders', 'g', 'new');
    await bus.replay({ stream: 'orders', handler: () => {} });
    await bus.replay({ stream: 'orders', group: 'g' });
    await bus.getEvent(value!.id);
    await bus.getHistory({ type: 'order.failed' });
    await bus.getRoomMembers('empty');
    await bus.streams.removeGroup('orders', 'held');
    await bus.streams.trim('orders', { maxLength: 0 });
    expect(await rejection(bus.streams.info('unknown'))).toMatchObject({
      code: 'ERR_BUS_NO_STREAM',
    });
    expect(hasNotice('deadLetter')).toBe(true);
  });

  test('a circuit', async () => {
    const bus = await open();
    const circuitBreaker = { minimumCalls: 1, resetTimeout: 1000, errorThresholdPercentage: 1 };
    await bus.subscribe('a', fail, { retryOnError: false, circuitBreaker });
    await bus.publish('a', 1);
    await eventually(() => hasNotice('circuit'));
  });
});

test('a server that goes away and comes back, in hybrid mode', async () => {
  const server = await RedisServer.start();
  const config = { redis: server.url, streams: STREAMS, logger: keepingLogger() };
  const bus = new EventBusClient({ ...config, mode: 'hybrid' });
  try {
    await bus.subscribe('*', () => {});
    await bus.subscribe('order.*', () => {}, { group: 'g' });
    await bus.waitUntilReady();
    await bus.publish('a', 1);
    await bus.publish('a', 2, { localOnly: true });
    await server.kill();
    await eventually(() => hasNotice('reconnecting') && hasNotice('disconnected'));
    await bus.publish('a', 3, { id: 'given' });
    await server.restart();
    await eventually(() => hasNotice('gap') && hasNotice('groupRecreated'));
    await bus.healthCheck();
  } finally {
    await bus.disconnect();
    await server.stop();
  }
  expect(has('settledLocally', ([, , , remote]) => remote === 'skipped')).toBe(true);
});

test('entries that are gone before a group has read them', async () => {
  const bus = new EventBusClient({
    mode: 'memory',
    memory: 'gone',
    streams: STREAMS,
    logger: keepingLogger(),
  });
  try {
    const sub = await bus.subscribe('order.*', () => {}, { group: 'g', from: 'beginning' });
    await sub.unsubscribe({ wait: true });
    for (const data of [1, 2, 3]) await bus.publish('order.placed', data);
    await bus.streams.trim('orders', { maxLength: 1 });
    await bus.subscribe('order.*', () => {}, { group: 'g', from: 'beginning' });
    await eventually(() => hasNotice('messagesLost'));
  } finally {
    await bus.disconnect();
  }
});

/** Of each member, so that a new one cannot be forgotten here: the compiler wants it in this list. */
const MEMBERS: Record<keyof Drained, true> = {
  published: true,
  stored: true,
  localDeliveries: true,
  settledLocally: true,
  failed: true,
  deliveries: true,
  envelopes: true,
  shapes: true,
  strings: true,
  columns: true,
  json: true,
  raw: true,
  replies: true,
  refusals: true,
  notices: true,
};
/** The questions as the engine declares them: each has to be asked here, and its reply to be declared in `Replies`. */
test('JavaScript is told the settings, and no secret', () => {
  const secret = 'Zq9w';
  const tls = { cert: PEM, key: `-----BEGIN ${secret}` };
  const environments = [{}, { REDIS_URL: `redis://u:${secret}@h:1`, REDIS_PASSWORD: secret }];
  const configs = [
    { redis: `rediss://user:${secret}@host:1/2` },
    { redis: { password: secret, poolSize: 1 } },
    { redis: { url: `redis://:${secret}@host`, username: 'u', password: secret, tls } },
    { redis: { password: secret, port: 'x' } },
    { mode: 'hybrid' },
  ];
  for (const config of configs) {
    for (const env of environments) {
      const text = native.settings(JSON.stringify(config), JSON.stringify(env));
      expect(text).not.toContain(secret);
    }
  }
  const config = { mode: 'memory', redis: { password: secret, poolSize: 1 } };
  expect(JSON.parse(native.settings(JSON.stringify(config), '{}'))).toEqual({
    ok: {
      serviceName: 'oxbus',
      mode: 'memory',
      memory: 'default',
      channelPrefix: '',
      inherit: true,
      logLevel: 'info',
      validateOnReceive: false,
      json: 'lenient',
      batchSize: 256,
      batchInterval: 0,
      maxDataBytes: 524_288,
      maxEventBytes: 1_048_576,
      maxRetries: 0,
      retryDelay: 100,
      commandTimeout: 5000,
      notices: [{ level: 'warn', code: 'OPTION_IGNORED', message: expect.any(String) }],
    },
  });
});

const QUESTIONS: [name: string, args: string[]][] = JSON.parse(native.questions());

test('everything that has crossed has its declared type', () => {
  crossings.add('NativeResult<Settings>', native.settings('{"mode":"memory"}', '{}'));
  crossings.add('NativeResult<Settings>', native.settings('{"mode":7}', '{}'));
  expect(Object.keys(MEMBERS).filter((member) => !has(member as keyof Drained))).toEqual([]);
  const types = new Set(crossings.samples.map(({ type }) => type));
  const wasAsked = (name: string) =>
    types.has(`Replies['${name}']`) || types.has(`Replies<number>['${name}']`);
  expect(QUESTIONS.filter(([name]) => !wasAsked(name))).toEqual([]);
  expect([...types]).toEqual(
    expect.arrayContaining(['EngineStats', 'HealthReport', 'NativeResult<Subscribed>']),
  );
  expect(crossings.faults()).toBe('');
}, 60_000);

test('what does not fit is found', () => {
  const wrong = new Crossings();
  wrong.add('Drained', '{"published":[["1",0,"t"]]}');
  wrong.add('Drained', '{"notices":[{"event":"ready","more":1}]}');
  wrong.add('NativeResult<Settings>', '{"ok":{}}');
  const faults = wrong.faults();
  for (const n of [0, 1, 2]) expect(faults).toMatch(new RegExp(`samples\\.ts\\(${7 + n},`));
}, 60_000);
