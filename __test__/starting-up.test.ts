/** Starting before the server does, or with an address that is wrong. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { EventBusClient, type EventBusConfig } from '..';
import { streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { freePort, RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

/** A server that was started once and is down: its port stays the same. */
async function downServer(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args);
  await server.kill();
  return server;
}

const clients: EventBusClient[] = [];

function client(redis: string, config: EventBusConfig = {}): EventBusClient {
  const times = { connectTimeout: 200, commandTimeout: 200 };
  const own = { logger: keepingLogger(), redis: { url: redis, ...times } };
  const bus = new EventBusClient({ ...own, ...config });
  clients.push(bus);
  return bus;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((bus) => bus.disconnect({ timeout: 500 })));
});

test.each([0, Number.POSITIVE_INFINITY])(
  'timeout: %d waits until the server is there',
  async (timeout) => {
    const server = await downServer();
    try {
      const bus = client(server.url);
      let attempts = 0;
      bus.on('reconnecting', () => {
        attempts += 1;
      });
      const waiting = Promise.all([bus.connect({ timeout }), bus.waitUntilReady({ timeout })]);
      // Beyond the timeout of the configuration.
      const started = Date.now();
      await eventually(() => attempts >= 2 && Date.now() - started > 400);
      expect(bus.state).toBe('connecting');
      await server.restart();
      await waiting;
      expect(bus.state).toBe('ready');
    } finally {
      await server.stop();
    }
  },
);

test('without a limit, what only a person can mend rejects at once, and a signal ends the wait', async () => {
  const server = await RedisServer.start('--requirepass', 'secret');
  try {
    const bus = client(server.url);
    for (const call of [bus.connect({ timeout: 0 }), bus.waitUntilReady({ timeout: 0 })]) {
      expect(await rejection(call)).toMatchObject({
        code: 'ERR_BUS_AUTH_FAILED',
        message: expect.stringContaining('set a password'),
      });
    }
  } finally {
    await server.stop();
  }
  const nowhere = client(`redis://127.0.0.1:${await freePort()}`);
  const signal = AbortSignal.timeout(300);
  expect(await rejection(nowhere.connect({ timeout: 0, signal }))).toMatchObject({
    code: 'ERR_BUS_ABORTED',
  });
});

test('whenReady: a subscription waits for the server, a live one and one of a group', async () => {
  const server = await downServer();
  try {
    const bus = client(server.url, { streams: [streamFor('job.*')] });
    const seen: string[] = [];
    const handler = (event: { type: string }) => void seen.push(event.type);
    let confirmed = 0;
    const subscribed = [
      bus.subscribe('live', handler, { whenReady: true }),
      bus.subscribe('job.*', handler, { group: 'workers', whenReady: true }),
    ].map((one) => one.then(() => (confirmed += 1)));
    const impatient = await rejection(bus.subscribe('live', handler));
    expect(impatient).toMatchObject({ code: 'ERR_BUS_COMMAND_TIMEOUT' });
    expect(confirmed).toBe(0);
    await server.restart();
    await Promise.all(subscribed);
    await bus.publish('live', 1, { timeout: 10_000 });
    await bus.publish('job.a', 1, { timeout: 10_000 });
    await eventually(() => seen.length === 2);
  } finally {
    await server.stop();
  }
});

test('whenReady: it ends with its signal and with the client, and what the server refuses is refused', async () => {
  const bus = client(`redis://127.0.0.1:${await freePort()}`);
  const signal = AbortSignal.timeout(300);
  const aborted = rejection(bus.subscribe('a', () => {}, { whenReady: true, signal }));
  const closed = rejection(bus.subscribe('b', () => {}, { whenReady: true }));
  expect(await aborted).toMatchObject({ code: 'ERR_BUS_ABORTED' });
  await bus.disconnect();
  expect(await closed).toMatchObject({ code: 'ERR_BUS_CLOSED' });
  const server = await RedisServer.start();
  try {
    await server.command('ACL SETUSER default resetchannels');
    const limited = client(server.url);
    const refused = await rejection(limited.subscribe('a', () => {}, { whenReady: true }));
    expect(refused).toMatchObject({ code: 'ERR_BUS_SUBSCRIBE_DENIED' });
  } finally {
    await server.stop();
  }
});

test('the port of a web server is told to be one', async () => {
  const web = createServer((_, response) => response.end('hello'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const { port } = web.address() as AddressInfo;
  try {
    const error = await rejection(client(`redis://127.0.0.1:${port}`).connect());
    expect(error).toMatchObject({ code: 'ERR_BUS_CONNECTION_LOST' });
    const text = `127.0.0.1:${port} is not a Redis server: it answers "HTTP/1.1 400 Bad Request"`;
    expect((error as Error).message).toContain(text);
  } finally {
    await new Promise((resolve) => web.close(resolve));
  }
});

test('the console shows what a subscription is', async () => {
  const bus = client('', {
    mode: 'memory',
    redis: undefined as never,
    memory: 'shown',
    streams: [streamFor('job.*')],
  });
  const live = await bus.subscribe(['a', 'b'], () => {});
  const durable = await bus.subscribe('job.*', () => {}, { group: 'workers' });
  expect(inspect(live)).toContain(`Subscription {\n  id: '${live.id}',`);
  expect(inspect(live)).toMatch(/pattern: \[ 'a', 'b' \],\s+state: 'active'/);
  durable.pause();
  expect(inspect(durable)).toMatch(/pattern: 'job\.\*',\s+group: 'workers',\s+state: 'paused'/);
});

test('memory mode that nobody asked for is a warning, in the log and in the report', async () => {
  const logger = keepingLogger();
  const { REDIS_URL, REDIS_HOST, REDIS_PORT } = process.env;
  for (const name of ['REDIS_URL', 'REDIS_HOST', 'REDIS_PORT']) delete process.env[name];
  const bus = new EventBusClient({ logger });
  clients.push(bus);
  Object.assign(process.env, JSON.parse(JSON.stringify({ REDIS_URL, REDIS_HOST, REDIS_PORT })));
  await bus.connect();
  expect(logger.lines[0]).toMatchObject({ level: 'warn', fields: { code: 'MEMORY_MODE' } });
  const health = await bus.healthCheck();
  expect(health).toMatchObject({ status: 'healthy', warnings: [{ code: 'MEMORY_MODE' }] });
  const chosen = client('', { mode: 'memory', redis: undefined as never });
  await chosen.connect();
  expect((await chosen.healthCheck()).warnings).toEqual([]);
});
