/** Where `bus.doctor()` looks: every way in which a configuration names servers, over TLS and by sentinels too. */

import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { RedisConfig } from '../index';
import { EventBusClient } from '../index.js';
import { addressOf } from '../ts/doctor/address';
import { readReply } from '../ts/doctor/reply';
import { RedisServer } from './support/redis-server';
import { authority, leaf, other } from './support/tls-cases';

let redis: RedisServer;
const servers: Server[] = [];
const sockets = new Set<Socket>();

beforeAll(async () => {
  redis = await RedisServer.start();
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  await redis?.stop();
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return (server.address() as { port: number }).port;
}

async function serverSeenBy(config: RedisConfig) {
  const bus = new EventBusClient({ redis: config, observe: true, logLevel: 'silent' });
  try {
    const { findings } = await bus.doctor({ duration: 1 });
    return findings.filter(({ code }) => code === 'SERVER').map(({ subject }) => subject);
  } finally {
    await bus.disconnect();
  }
}

test('the master of a sentinel, where another sentinel is away', async () => {
  const port = String(redis.port);
  const sentinel = createServer((socket) => {
    socket.on('data', (bytes) => {
      const isKnown = bytes.includes('shop-master');
      socket.write(isKnown ? `*2\r\n$9\r\n127.0.0.1\r\n$${port.length}\r\n${port}\r\n` : '*-1\r\n');
    });
  });
  const at = `127.0.0.1:${await listening(sentinel)}`;
  const away = '127.0.0.1:1';
  const named = { sentinel: { name: 'shop-master', nodes: [away, at] } };
  expect(await serverSeenBy(named)).toEqual([`127.0.0.1:${port}`]);
  const unknown = serverSeenBy({ sentinel: { name: 'other', nodes: [at] } });
  await expect(unknown).rejects.toThrow(`${at} knows no master 'other'`);
});

test('over TLS, and not with a certificate that nobody trusts', async () => {
  const proxy = createTlsServer({ key: leaf.key, cert: leaf.cert }, (socket) => {
    const back = connect(redis.port, '127.0.0.1');
    sockets.add(back);
    socket.on('error', () => back.destroy());
    back.on('error', () => socket.destroy());
    socket.pipe(back).pipe(socket);
  });
  proxy.on('tlsClientError', () => {});
  const url = `rediss://localhost:${await listening(proxy)}`;
  expect(await serverSeenBy({ url, tls: { ca: authority.cert } })).toHaveLength(1);
  await expect(serverSeenBy({ url, tls: { ca: other.cert } })).rejects.toThrow(/certificate/);
});

test.each<[RedisConfig | string | undefined, Record<string, string>, unknown, unknown]>([
  ['redis://h', {}, { host: 'h', port: 6379 }, {}],
  [
    'redis://u:p%40@h:7/3',
    {},
    { host: 'h', port: 7 },
    { username: 'u', password: 'p@', database: 3 },
  ],
  ['redis://:p@[::1]:7', {}, { host: '::1', port: 7 }, { password: 'p' }],
  ['rediss://h?db=2', {}, { host: 'h', port: 6379 }, { database: 2, tls: {} }],
  ['unix:///run/redis.sock', {}, { path: '/run/redis.sock' }, {}],
  [{ host: '[::1]', port: 7, password: 'p' }, {}, { host: '::1', port: 7 }, { password: 'p' }],
  [{}, {}, { host: '127.0.0.1', port: 6379 }, {}],
  [undefined, { REDIS_URL: 'valkey://h:8' }, { host: 'h', port: 8 }, {}],
  [
    undefined,
    { REDIS_HOST: 'h', REDIS_PORT: 'tcp://10.0.0.1:9', REDIS_PASSWORD: 'p', REDIS_TLS: 'true' },
    { host: 'h', port: 9 },
    { password: 'p', tls: {} },
  ],
])('%j with %j', (config, env, place, login) => {
  const address = addressOf({ redis: config }, env);
  expect(address?.places).toEqual([place]);
  expect(JSON.parse(JSON.stringify(address?.login))).toEqual(login);
});

test('nodes of a Cluster', () => {
  const nodes = ['a', 'b:7', '[::1]:8', '::2', { host: 'c', port: 9 }];
  expect(addressOf({ redis: { cluster: { nodes } } }, {})?.places).toEqual([
    { host: 'a', port: 6379 },
    { host: 'b', port: 7 },
    { host: '::1', port: 8 },
    { host: '::2', port: 6379 },
    { host: 'c', port: 9 },
  ]);
  expect(addressOf({}, {})).toBeUndefined();
});

test('a reply is read wherever it is cut', () => {
  const text = '*3\r\n$2\r\n\xc3\xa9\r\n:7\r\n*2\r\n$-1\r\n-ERR no\r\n';
  const bytes = Buffer.from(text, 'latin1');
  for (let end = 0; end < bytes.length; end += 1) {
    expect(readReply(bytes.subarray(0, end), 0, 'utf8')).toBeUndefined();
  }
  const read = readReply(bytes, 0, 'utf8');
  expect(read?.next).toBe(bytes.length);
  expect(read?.reply).toMatchObject(['é', 7, [null, { message: 'ERR no' }]]);
  expect(() => readReply(Buffer.from('HTTP/1.1 400\r\n'), 0, 'utf8')).toThrow(RangeError);
});
