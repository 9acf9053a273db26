/** `bus.doctor()` and `npx oxbus doctor`: what they find, and that they change nothing. */

import type { DoctorFinding, DoctorOptions } from '../index';
import { EventBusClient } from '../index.js';
import { formatOfEntry, formatOfMessage } from '../ts/doctor/formats';
import { matches } from '../ts/doctor/glob';
import { onLane } from '../ts/doctor/listening';
import { formatFindings } from '../ts/doctor/stream-findings';
import { streamKeysOf } from '../ts/doctor/stream-keys';
import { native } from '../ts/native/native';
import { cli, rows } from './support/cli';
import { RedisServer } from './support/redis-server';
import { Shop } from './support/shop';

let server: RedisServer;
let shop: Shop;

beforeAll(async () => {
  server = await RedisServer.start();
  shop = await Shop.open(server.url);
  await shop.order(2, 0);
});

afterAll(async () => {
  await shop?.close();
  await server?.stop();
});

async function examine(
  options: DoctorOptions = {},
  during?: () => Promise<void>,
  url = server.url,
) {
  const bus = new EventBusClient({ redis: url, observe: true, logLevel: 'silent' });
  const looked = bus.doctor({ duration: 200, ...options });
  let isOver = false;
  const ended = looked.finally(() => {
    isOver = true;
  });
  while (during !== undefined && !isOver) {
    await during();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const report = await ended;
  await bus.disconnect();
  const of = (code: string): DoctorFinding[] => report.findings.filter((one) => one.code === code);
  return { ...report, of };
}

test('groups without living consumers, and what the server is', async () => {
  const { of, worst, findings } = await examine();
  expect(of('GROUP_WITHOUT_CONSUMERS')).toMatchObject([
    { severity: 'error', subject: 'orders mailing', message: expect.stringContaining('lag 2') },
  ]);
  expect(of('SERVER')).toMatchObject([{ severity: 'info' }]);
  expect(of('NO_PERSISTENCE')).toMatchObject([{ severity: 'warning' }]);
  expect(of('EVICTION_POLICY')).toEqual([]);
  expect(of('LOAD')).toHaveLength(1);
  expect(worst).toBe('error');
  expect(findings[0]?.severity).toBe('error');
  for (const { advice } of findings) expect(advice).not.toBe('');
});

test('a group that waits for its first event has a consumer', async () => {
  const bus = new EventBusClient({
    redis: server.url,
    serviceName: 'new',
    logLevel: 'silent',
    streams: [{ name: 'idle', events: 'idle.*' }],
  });
  await bus.subscribe('idle.*', () => {}, { group: 'waiting' });
  const { of } = await examine();
  await bus.streams.removeGroup('idle', 'waiting');
  await bus.disconnect();
  expect(of('GROUP_WITHOUT_CONSUMERS').map(({ subject }) => subject)).toEqual(['orders mailing']);
});

test('formats of channels and streams, and which wire reads them', async () => {
  await server.command('XADD foreign * event_type OrderPlaced payload {}');
  const { of, config } = await examine({ scan: true }, async () => {
    await server.command(`PUBLISH nest '{"pattern":"order.placed","data":{"a":1}}'`);
    await server.command(`PUBLISH other '{"body":"x","properties":{"delivery_info":{}}}'`);
    await shop.bus.publish('ping', 1);
  });
  const formats = [...of('FORMAT'), ...of('FORMAT_UNREAD')];
  const told = (subject: string) => formats.find((one) => one.subject === subject);
  expect(told('nest')?.advice).toContain("wire: 'nestjs'");
  expect(told('ping')?.message).toMatch(/of Oxbus$/);
  expect(told('other')).toMatchObject({ severity: 'warning', code: 'FORMAT_UNREAD' });
  expect(told('orders')?.advice).toContain("wire: 'oxbus'");
  expect(told('foreign')?.advice).toContain("wire: 'eventsource'");
  expect(of('STREAM_UNKNOWN')).toMatchObject([{ subject: 'foreign' }]);
  expect(config.streams).toEqual(
    expect.arrayContaining([
      { name: 'orders', events: 'order.*', consumerGroups: ['billing', 'mailing'] },
    ]),
  );
});

test('a type that a group waits for and that its publisher does not store', async () => {
  const stranger = new EventBusClient({
    redis: server.url,
    serviceName: 'other',
    logLevel: 'silent',
  });
  const { of } = await examine({}, async () => {
    await stranger.publish('order.paid', { orderId: 'lost' });
  });
  await stranger.disconnect();
  expect(of('TYPE_NOT_STORED')).toMatchObject([{ severity: 'error', subject: 'orders billing' }]);
  const stored = await examine({}, async () => {
    await shop.bus.publish('order.paid', { orderId: 'kept', account: 'a' });
  });
  expect(stored.of('TYPE_NOT_STORED')).toEqual([]);
});

test('a type that no client stores any more', async () => {
  const name = JSON.stringify(['orders', 'audit', 'refund.made']).replaceAll('"', '\\"');
  await server.command(`HSET oxbus:groups "${name}" "1 [\\"refund.made\\"]"`);
  const { of } = await examine();
  await server.command(`HDEL oxbus:groups "${name}"`);
  expect(of('TYPE_NOT_STORED')).toMatchObject([
    { message: expect.stringContaining('audit waits for refund.made in orders') },
  ]);
});

test('eviction, and the rights of a user', async () => {
  await server.command('CONFIG SET maxmemory-policy allkeys-lru');
  await server.command('ACL SETUSER bus on >b &* ~* +@all -xadd -xtrim');
  const { of } = await examine({ user: 'bus' });
  const unknown = await examine({ user: 'nobody' });
  await server.command('CONFIG SET maxmemory-policy noeviction');
  expect(of('EVICTION_POLICY')).toMatchObject([{ severity: 'error' }]);
  expect(of('MISSING_RIGHTS')).toMatchObject([
    { severity: 'error', subject: 'bus', advice: 'ACL SETUSER bus +xadd +xtrim' },
  ]);
  expect(unknown.of('NO_USER')).toHaveLength(1);
});

test('it works with a user that may only read, and changes nothing', async () => {
  await server.command('ACL SETUSER eye on >e ~* &* -@all +@read +@connection +psubscribe');
  const state = async () => [
    await server.command('DBSIZE'),
    await server.command('CONFIG RESETSTAT'),
  ];
  const [size] = await state();
  const url = server.url.replace('//', '//eye:e@');
  const { of } = await examine({ scan: true }, undefined, url);
  expect(of('GROUP_WITHOUT_CONSUMERS')).toMatchObject([{ subject: 'orders mailing' }]);
  expect(of('SERVER_INFO_DENIED')).toHaveLength(1);
  expect(await server.command('DBSIZE')).toBe(size);
  const blind = await examine({}, undefined, server.url.replace('//', '//eye:wrong@')).catch(
    (e) => e,
  );
  expect(blind).toMatchObject({ code: 'ERR_BUS_AUTH_FAILED' });
});

test('the lanes of a Cluster: their names, and what is within a message', () => {
  expect(native.lanes('app:', 16).slice(0, 3)).toEqual([
    ...['app:oxbus:lane:0-63', 'app:oxbus:lane:1-60', 'app:oxbus:lane:2-1'],
  ]);
  expect([native.lanes('app:', 0), native.lanes('', 257)]).toEqual([[], []]);
  expect(onLane('5:app:x{}')).toEqual({ channel: 'app:x', message: '{}' });
  for (const text of ['', 'x', ':', '5:abc', '-1:a', '1234567890:a']) {
    expect(onLane(text)).toBeUndefined();
  }
});

test('a flood ends the listening, and is told', async () => {
  const { of } = await examine({ duration: 10_000, sampleBytes: 5000 }, async () => {
    await shop.bus.publish('big', 'x'.repeat(3000));
  });
  expect(of('HEARD')[0]?.message).toContain('until 5000 bytes were read');
});

test('on the command line: findings, the configuration as code, and the exit code', async () => {
  const ended = await cli(server.url, ['doctor', '--seconds', '0.2']);
  expect(ended.code).toBe(20);
  expect(ended.out).toMatch(
    /^error +GROUP_WITHOUT_CONSUMERS {2}no living consumer reads the group mailing/m,
  );
  expect(ended.out).toContain(
    "{ name: 'orders', events: 'order.*', consumerGroups: ['billing', 'mailing'] },",
  );
  const told = rows(await cli(server.url, ['doctor', '--seconds', '0.2', '--json', '-q']));
  expect(told.at(-1)).toMatchObject({ worst: 'error', config: expect.any(Object) });
});

test.each([
  [{ duration: 0 }, 'duration'],
  [{ sampleBytes: -1 }, 'sampleBytes'],
  [{ scan: 1 }, 'scan'],
  [{ user: '' }, 'user'],
  [{ seconds: 1 }, 'seconds'],
])('bad options %j', async (options, path) => {
  const bus = new EventBusClient({ redis: server.url, observe: true, logLevel: 'silent' });
  await expect(bus.doctor(options as DoctorOptions)).rejects.toMatchObject({
    code: 'ERR_BUS_INVALID_OPTIONS',
    path,
  });
  await bus.disconnect();
});

test('many channels of one format share a finding', () => {
  const format = { name: 'Oxbus', wire: 'oxbus' } as const;
  const seen = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      kind: 'channel' as const,
      name: `c${n}`,
      format,
      count: 2,
    }));
  expect(formatFindings(seen(8))).toHaveLength(8);
  expect(formatFindings(seen(9))).toMatchObject([
    { subject: '9 channels', message: expect.stringContaining('c0, c1'), code: 'FORMAT' },
  ]);
  expect(formatFindings(seen(9))[0]?.message).toContain('18 messages of Oxbus');
});

test('memory has no server to look at', async () => {
  const bus = new EventBusClient({ mode: 'memory', logLevel: 'silent' });
  await expect(bus.doctor()).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_CONFIG' });
  await bus.disconnect();
});

test.each([
  ['{"specversion":"1.0","type":"a","source":"/x","id":"1"}', 'cloudevents'],
  ['{"pattern":"a","data":1}', 'nestjs'],
  ['{"pattern":"a","data":1,"id":"7"}', null],
  ['{"metadata":{"eventId":"1","eventType":"a"},"data":1}', 'campaign'],
  ['{"id":"1","type":"a","data":1,"metadata":{"traceId":"t"}}', 'photo'],
  ['{"id":"1","type":"a","data":1,"metadata":{}}', 'oxbus'],
  ['{"id":"1","type":"a","payload":1,"timestamp":5}', 'spine'],
  ['{"type":"a","userId":"u","metadata":{}}', 'platform'],
  ['{"orderId":7}', 'graphql'],
  ['no json', 'graphql'],
  ['\x89BIN\r\n\x1a\n\0\x01', 'faststream'],
])('the format of %j', (text, wire) => expect(formatOfMessage('c', text).wire).toBe(wire));

test.each([
  ['socket.io#/#room#', 'socket.io'],
  ['socket.io-request#/#', null],
])('the format of what is on the channel %s', (channel, wire) =>
  expect(formatOfMessage(channel, '\x93').wire).toBe(wire),
);

test.each([
  [['eventType', 'data'], 'oxbus'],
  [['event_type', 'payload'], 'eventsource'],
  [['__data__'], 'faststream'],
  [['a', 'b'], null],
])('the format of an entry with %j', (names, wire) => {
  const fields = new Map(names.map((name) => [name, 'x']));
  expect(formatOfEntry(fields).wire).toBe(wire);
});

test.each([
  ['order.*', 'order.paid', true],
  ['order.*', 'orders', false],
  ['*', '', true],
  ['a?c', 'abc', true],
  ['[a-c]x', 'bx', true],
  ['[^a]x', 'ax', false],
  ['a\\*', 'a*', true],
  ['a\\*', 'ab', false],
  ['a.b', 'axb', false],
])('the pattern %j and %j: %j', (pattern, text, isMatch) =>
  expect(matches(pattern, text)).toBe(isMatch),
);

test('a stream of the configuration is looked at by the key that a format names', async () => {
  const fields = { write: { type: 'type', body: 'data' } } as const;
  const named = { fields, keys: { stream: '{prefix}{{{stream}}}:log' } };
  const wire = { read: ['oxbus', named], write: ['oxbus'] } as const;
  const keyOf = streamKeysOf({ channelPrefix: 'p:', wire });
  expect(['notes', 'p:{notes}:log'].map(keyOf)).toEqual(['p:{notes}:log', 'p:{notes}:log']);
  expect(streamKeysOf({ wire: 'campaign' })('notes')).toBe('notes');
  expect(streamKeysOf({ wire: { ...named, keys: { event: 'e:{id}' } } })('notes')).toBe('notes');

  await server.command('XADD p:{notes}:log * type note.taken body 1');
  const bus = new EventBusClient({
    redis: server.url,
    observe: true,
    logLevel: 'silent',
    channelPrefix: 'p:',
    streams: [{ name: 'notes', events: 'note.*' }],
    wire,
  });
  try {
    const { findings } = await bus.doctor({ duration: 100, scan: true });
    const codes = findings.filter(({ subject }) => subject === 'p:{notes}:log').map((f) => f.code);
    expect(codes).not.toContain('STREAM_UNKNOWN');
    const plain = await bus.doctor({ duration: 100 });
    expect(JSON.stringify(plain.findings)).toContain('entries with the fields type, body');
  } finally {
    await bus.disconnect();
    await server.command('DEL p:{notes}:log');
  }
});
