import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { EventBusClient, type EventBusConfig, ValidationError } from '..';
import { freePort, RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { runNode } from './support/scripts';
import { keepingLogger } from './support/transports';

const VARIABLES = [
  'REDIS_URL',
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_DB',
  'REDIS_TLS',
  'ENABLE_REDIS_EVENTS',
  'SERVICE_NAME',
  'NODE_ENV',
];
const saved = { ...process.env };
const clients: EventBusClient[] = [];

beforeEach(() => {
  for (const name of VARIABLES) delete process.env[name];
});

afterEach(async () => {
  process.env = { ...saved };
  await Promise.all(clients.splice(0).map((client) => client.disconnect()));
});

function create(config: EventBusConfig = {}, logger = keepingLogger()): EventBusClient {
  const client = new EventBusClient({ logger, ...config });
  clients.push(client);
  return client;
}

const circular: Record<string, unknown> = {};
circular.self = circular;

test.each<[string, unknown, string | undefined]>([
  ['an unknown key', { servicename: 'x' }, 'servicename'],
  ['an unknown nested key', { redis: { hots: 'x' } }, 'redis.hots'],
  ['an unknown wire', { mode: 'memory', wire: 'kafka' }, 'wire'],
  ['no wire to read', { mode: 'memory', wire: { read: [], write: [] } }, 'wire.read'],
  ['a later feature', { streams: [{ name: 's', partitions: 4 }] }, 'streams[0].partitions'],
  ['a wire without places', { mode: 'memory', wire: { fields: {} } }, 'wire.fields.write'],
  ['a wrong type', { redis: { port: 'x' } }, 'redis.port'],
  ['a wrong URL', { redis: 'http://x' }, 'redis'],
  ['a wrong word', { mode: 'disk' }, 'mode'],
  ['a function', { redis: { host: () => 'x' } }, 'redis.host'],
  ['a cycle', { redis: circular }, 'redis.self'],
  ['an instance', { redis: new Map() }, 'redis'],
  ['a logger without methods', { logger: { info() {} } }, 'logger.debug'],
  [
    'a signal that nobody can wait for',
    { shutdownSignals: ['SIGTERM', 'SIGKILL'] },
    'shutdownSignals[1]',
  ],
  ['a schema that is none', { schemas: { a: 1 } }, 'schemas.a'],
  ['not an object', 'redis://x', undefined],
  ['null', null, undefined],
])('a configuration is refused: %s', (_, config, path) => {
  let error: unknown;
  try {
    new EventBusClient(config as EventBusConfig);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ValidationError);
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_CONFIG' });
  if (path !== undefined) expect((error as ValidationError).path).toBe(path);
  expect((error as Error).stack?.split('\n')[1]).toContain('configuration.test.ts');
});

test('no address is memory, and one line says so', () => {
  const logger = keepingLogger();
  const bus = create({}, logger);
  expect(bus.toJSON().mode).toBe('memory');
  expect(logger.lines.filter((line) => line.message.includes('memory'))).toHaveLength(1);
});

test('no address where one is needed: the client is made, and refused when it is used', async () => {
  const streams = [{ name: 'orders', events: 'order.*' }];
  process.env.NODE_ENV = 'production';
  expect(create({ mode: 'memory' }).toJSON().mode).toBe('memory');
  const production = create();
  delete process.env.NODE_ENV;
  const needy: EventBusConfig[] = [{ mode: 'redis' }, { mode: 'hybrid' }, { streams }];
  const clients = [production, ...needy.map((config) => create(config)), create({ observe: true })];
  for (const bus of clients) {
    const uses: [string, () => Promise<unknown>][] = [
      ['connect', () => bus.connect()],
      ['waitUntilReady', () => bus.waitUntilReady()],
      ['publish', () => bus.publish('a', 1)],
      ['broadcast', () => bus.broadcast('a', 1)],
      ['subscribe', () => bus.subscribe('a', () => {})],
      ['subscribe with a group', () => bus.subscribe('order.*', () => {}, { group: 'g' })],
      ['events', () => bus.events('a').next()],
      ['joinRoom', () => bus.joinRoom('r')],
      ['streams', () => bus.streams.list()],
      ['getHistory', () => bus.getHistory()],
    ];
    for (const [name, use] of uses) {
      const error = await rejection(use());
      expect([name, error]).toMatchObject([
        name,
        {
          code: 'ERR_BUS_INVALID_CONFIG',
          path: 'redis',
          message: expect.stringContaining('REDIS_URL'),
        },
      ]);
    }
    expect(await rejection(bus.publish('a', 1))).toMatchObject({ outcome: 'not_sent' });
    const health = await bus.healthCheck();
    expect(health).toMatchObject({ status: 'unhealthy', warnings: [{ code: 'NO_ADDRESS' }] });
    expect(bus.state).toBe('idle');
    await bus.disconnect();
  }
});

test('the environment gives the address and the name; empty variables are unset', async () => {
  const server = await RedisServer.start();
  try {
    process.env.REDIS_URL = '';
    process.env.REDIS_HOST = '127.0.0.1';
    process.env.REDIS_PORT = String(server.port);
    process.env.SERVICE_NAME = 'from-env';
    const bus = create();
    expect(bus.toJSON()).toMatchObject({ mode: 'redis', serviceName: 'from-env' });
    await bus.connect();
    process.env.REDIS_URL = server.url;
    process.env.REDIS_PORT = '1';
    await create().connect();
    process.env.ENABLE_REDIS_EVENTS = 'false';
    expect(create().toJSON().mode).toBe('memory');
  } finally {
    await Promise.all(clients.splice(0).map((client) => client.disconnect()));
    await server.stop();
  }
});

test('variables give the user, TLS and a switch, and a link of Kubernetes gives the address', async () => {
  const server = await RedisServer.start();
  try {
    await server.command('ACL SETUSER ada on >secret ~* &* +@all');
    process.env.REDIS_PORT = `tcp://127.0.0.1:${server.port}`;
    process.env.REDIS_USERNAME = 'ada';
    process.env.REDIS_PASSWORD = 'secret';
    await create().connect();
    expect(await server.command('CLIENT LIST', 1)).toContain('user=ada');
    process.env.REDIS_TLS = 'maybe';
    expect(() => create()).toThrow(
      expect.objectContaining({
        path: 'REDIS_TLS',
        message: expect.stringContaining(
          'expected true, 1, on, yes or false, 0, off, no, got "maybe"',
        ),
      }),
    );
    process.env.REDIS_TLS = 'on';
    const connected = create().connect({ timeout: 10_000 });
    expect(await rejection(connected)).toMatchObject({ code: 'ERR_BUS_TLS_FAILED' });
    process.env.ENABLE_REDIS_EVENTS = 'off';
    expect(create().toJSON().mode).toBe('memory');
  } finally {
    await Promise.all(clients.splice(0).map((client) => client.disconnect()));
    await server.stop();
  }
});

test('the name comes from the package when nothing else gives one', () => {
  expect(create().serviceName).toBe('oxbus');
});

test.each<[string, Record<string, object>, string]>([
  ['no package.json', {}, 'oxbus'],
  ['a package without a name', { 'package.json': { private: true } }, 'oxbus'],
  ['the package of the script', { 'package.json': { name: '@shop/orders' } }, '@shop/orders'],
  [
    'a package.json for the module type in between',
    { 'package.json': { name: 'orders' }, 'dist/package.json': { type: 'commonjs' } },
    'orders',
  ],
  ['a name that is none', { 'package.json': { name: 5 } }, 'oxbus'],
])('the default name: %s', async (_, files, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-name-'));
  try {
    mkdirSync(join(folder, 'dist'));
    for (const [path, content] of Object.entries(files)) {
      writeFileSync(join(folder, path), JSON.stringify(content));
    }
    const entry = JSON.stringify(join(__dirname, '..', 'index.js'));
    const code = `const { EventBusClient } = require(${entry});
      console.log(new EventBusClient({ mode: 'memory', logLevel: 'error' }).serviceName);`;
    writeFileSync(join(folder, 'dist', 'main.js'), code);
    const env = { SERVICE_NAME: undefined };
    for (const cwd of [folder, tmpdir()]) {
      const ended = await runNode([join(folder, 'dist', 'main.js')], { cwd, env });
      expect(ended).toMatchObject({ code: 0, out: `${expected}\n`, err: '' });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('keys of ioredis without a meaning here are accepted with a warning', async () => {
  const logger = keepingLogger();
  const redis = { port: await freePort(), poolSize: 5, maxRetriesPerRequest: null };
  const bus = create({ redis: { ...redis, lazyConnect: true } }, logger);
  const codes: string[] = [];
  bus.on('warning', ({ code }) => codes.push(code));
  await bus.connect();
  expect(codes).toEqual(['OPTION_IGNORED', 'OPTION_IGNORED']);
  expect(logger.lines.filter((line) => line.level === 'warn').length).toBeGreaterThanOrEqual(2);
});

test('a secret is never shown', async () => {
  const logger = keepingLogger();
  const port = await freePort();
  const redis = { port, password: 'hunter2', connectTimeout: 100 };
  const bus = create({ redis, logLevel: 'debug' }, logger);
  const byUrl = create({ redis: `redis://me:hunter2@127.0.0.1:${port}` }, logger);
  const error = await bus.connect().catch((e) => e);
  const shown = [
    inspect([bus, byUrl], { depth: 9, showHidden: true }),
    JSON.stringify([bus, byUrl, await bus.healthCheck(), bus.getStats()]),
    `${bus} ${error} ${error.stack}`,
    inspect(error, { depth: 9 }),
    JSON.stringify(logger.lines),
  ].join('\n');
  expect(error).toBeInstanceOf(Error);
  expect(shown).not.toContain('hunter2');
});

test.each<unknown>([
  'redis://me:hunter2@host:notaport',
  'redis://me:hunter2@',
  'redis://me:hunter2@host/notadb',
  'redis://me:hunter2@ho st',
  'redis://me:hunter2@host?x=hunter2',
  'http://me:hunter2@host',
  'hunter2',
  { url: 'redis://me:hunter2@host:99999999' },
  { password: ['hunter2'] },
  { password: 'hunter2', port: 'hunter2' },
])('an address that is refused is not shown: %#', (redis) => {
  let error: unknown;
  try {
    create({ redis } as EventBusConfig);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ValidationError);
  const shown = `${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)}`;
  expect(shown.replaceAll(__filename, '')).not.toContain('hunter2');
});

test('certificates may be buffers', () => {
  const tls = { ca: Buffer.from('-----BEGIN CERTIFICATE-----\n'), rejectUnauthorized: false };
  expect(() => create({ redis: { tls: { ...tls, ca: [tls.ca] } } })).not.toThrow(/ca.*buffer/i);
});
