/** Values that JSON changes without a word are warned of, once for each type and path, or refused. */

import { EventBusClient, type EventBusConfig } from '..';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

let server: RedisServer;
const open: EventBusClient[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((bus) => bus.disconnect()));
});

afterAll(() => server.stop());

function client(mode: EventBusConfig['mode'], config: EventBusConfig = {}) {
  const place = mode === 'memory' ? {} : { redis: server.url };
  const bus = new EventBusClient({ mode, ...place, logger: keepingLogger(), ...config });
  open.push(bus);
  const warned: string[] = [];
  bus.on('warning', ({ code, message }) => code === 'DATA_CHANGED' && warned.push(message));
  return { bus, warned };
}

class Failure extends Error {}

const LOSSY: [what: string, value: () => unknown, arrives: unknown][] = [
  ['a Map', () => new Map([['a', 1]]), {}],
  ['a Set', () => new Set([1]), {}],
  ['an Error', () => new Failure('x'), {}],
  ['a Promise', () => Promise.resolve(1), {}],
  ['a RegExp', () => /x/, {}],
  ['an ArrayBuffer', () => new ArrayBuffer(8), {}],
  ['an ArrayBuffer', () => new SharedArrayBuffer(8), {}],
  ['a DataView', () => new DataView(new ArrayBuffer(8)), {}],
  ['a WeakMap', () => new WeakMap(), {}],
  ['a WeakSet', () => new WeakSet(), {}],
  ['a Uint8Array', () => new Uint8Array([7]), { 0: 7 }],
  ['a Float64Array', () => new Float64Array(0), {}],
  ['NaN', () => Number.NaN, null],
  ['Infinity', () => Number.POSITIVE_INFINITY, null],
  ['-Infinity', () => Number.NEGATIVE_INFINITY, null],
  ['an invalid Date', () => new Date('no date'), null],
];

describe.each(['memory', 'redis', 'hybrid'] as const)('in mode %s', (mode) => {
  test.each(LOSSY)(
    '%s is published as JSON has it, and told once',
    async (what, value, arrives) => {
      const { bus, warned } = client(mode);
      const seen: unknown[] = [];
      await bus.subscribe('a', ({ data }) => void seen.push(data), { whenReady: true });
      for (let n = 0; n < 3; n += 1) await bus.publish('a', { items: [0, { x: value() }] });
      expect(warned).toEqual([expect.stringMatching(/^a: data\.items\[\]\.x is /)]);
      expect(warned[0]).toContain(`is ${what}, which arrives as `);
      await bus.publish('a', value());
      expect(warned.slice(1)).toEqual([expect.stringContaining(`a: data is ${what}`)]);
      await bus.publish('b', value());
      expect(warned).toHaveLength(3);
      await bus.disconnect();
      expect(seen).toEqual([...Array(3).fill({ items: [0, { x: arrives }] }), arrives]);
    },
  );

  test.each(LOSSY)("json: 'strict' refuses %s", async (what, value) => {
    const { bus, warned } = client(mode, { json: 'strict' });
    const error = await rejection(bus.publish('a', { items: [0, { x: value() }] }));
    expect(error).toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
      path: 'data.items[1].x',
      outcome: 'not_sent',
      message: expect.stringMatching(`^data.items\\[1\\].x: ${what} is not a JSON value`),
    });
    expect((await rejection(bus.publish('a', value()))).message).toContain(`data: ${what}`);
    expect(warned).toEqual([]);
    expect(bus.getStats().eventsPublished).toBe(0);
  });
});

test('strict: in a batch, a broadcast, for rooms and users', async () => {
  const { bus } = client('memory', { json: 'strict' });
  const data = new Map();
  const [first, second] = await bus.publishBatch([
    { type: 'a', data },
    { type: 'a', data: 1 },
  ]);
  expect(first).toMatchObject({ status: 'rejected', reason: { code: 'ERR_BUS_INVALID_DATA' } });
  expect(second).toMatchObject({ status: 'fulfilled' });
  for (const call of [
    bus.broadcast('a', data),
    bus.publishToRoom('r', 'a', data),
    bus.publishToUser('u', 'a', data),
  ]) {
    expect(await rejection(call)).toMatchObject({ code: 'ERR_BUS_INVALID_DATA', path: 'data' });
  }
});

/** What is like them in the text, and loses nothing. */
const HARMLESS = {
  none: null,
  empty: {},
  numbered: { 0: 'a' },
  at: new Date(0),
  bytes: Buffer.from('x'),
  texts: ['null', '{}', '{"0":'],
  own: { toJSON: () => ({}) },
  map: Object.assign(new Map(), { toJSON: () => [] }),
  bare: Object.create(null),
};

test.each(['lenient', 'strict'] as const)('%s: what loses nothing is let be', async (json) => {
  const { bus, warned } = client('memory', { json });
  await bus.publish('a', HARMLESS);
  await bus.publish('a', null);
  await bus.publish('a' as never);
  expect(warned).toEqual([]);
});

test('what toJSON gives is looked at', async () => {
  const { bus } = client('memory', { json: 'strict' });
  const error = await rejection(bus.publish('a', { x: { toJSON: () => ({ y: new Set() }) } }));
  expect(error).toMatchObject({ path: 'data.x.y' });
});

test('what the output of a schema loses is told', async () => {
  const validate = () => ({ value: { tags: new Set([1]) } });
  const tags = { '~standard': { version: 1 as const, vendor: 'test', validate } };
  const { bus } = client('memory', { json: 'strict', schemas: { a: tags } });
  expect(await rejection(bus.publish('a', {}))).toMatchObject({ path: 'data.tags' });
});

test('an object that cannot be read twice is published', async () => {
  for (const json of ['lenient', 'strict'] as const) {
    const { bus } = client('memory', { json });
    let reads = 0;
    const data = {
      get x() {
        reads += 1;
        if (reads > 1) throw new Error('read twice');
        return null;
      },
    };
    await bus.publish('a', data);
  }
});

test('the warnings are bounded, and later ones of a busy type are found', async () => {
  const { bus, warned } = client('memory');
  for (let n = 0; n < 150; n += 1) await bus.publish('a', 1);
  for (let n = 0; n < 100; n += 1) await bus.publish('a', Number.NaN);
  expect(warned).toHaveLength(1);
  for (let n = 0; n < 200; n += 1) await bus.publish(`type.${n}`, new Set());
  expect(warned).toHaveLength(100);
});

test('another value of the option is refused', () => {
  const config = { json: 'loose' } as unknown as EventBusConfig;
  expect(() => new EventBusClient(config)).toThrow(/json: expected .*lenient/);
});
