import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer as createListener } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ensureRedisServer } from '../redis.mjs';

const START_LIMIT_MS = 20_000;
const ANSWER_LIMIT_MS = 1000;

/**
 * Below the ports that systems give to outgoing connections, also with what is added for the second port of a node of
 * a cluster: while the server is down, a client that connects to such a port could get it as its own and talk to itself.
 */
const [FIRST_PORT, PORTS, BUS_OFFSET] = [12_000, 10_000, 10_000];

/** No server outlives the run, however that ends. */
const servers = new Set();
process.once('exit', () => {
  for (const server of servers) server.kill();
});

async function isFree(port) {
  const listener = createListener().listen(port, '127.0.0.1');
  try {
    await once(listener, 'listening');
  } catch {
    return false;
  }
  listener.close();
  await once(listener, 'close');
  return true;
}

async function freePort() {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
}

/** The reply of a server to one command, on a connection of its own; undefined when there is none, or an error. */
export async function ask(port, name, ...args) {
  const redis = new Redis(port, '127.0.0.1', {
    ...{ lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null },
    ...{ connectTimeout: ANSWER_LIMIT_MS, commandTimeout: ANSWER_LIMIT_MS },
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await redis.call(name, ...args);
  } catch {
    return undefined;
  } finally {
    redis.disconnect();
  }
}

/** What a server writes to disk before it confirms. */
export const persistent = { save: '""', appendonly: 'yes', appendfsync: 'always' };

/**
 * A server that can be killed, frozen and started again. It keeps its configuration in a file, which sentinels rewrite.
 *
 * @param settings of the configuration; a list of values makes a line of each
 */
export async function createServer(folder, settings, { asSentinel = false } = {}) {
  const program = ensureRedisServer();
  const port = await freePort();
  mkdirSync(folder);
  const file = join(folder, 'redis.conf');
  let child;

  const server = {
    port,
    address: `127.0.0.1:${port}`,
    ask: (name, ...args) => ask(port, name, ...args),
    get runs() {
      return child !== undefined && child.exitCode === null && child.signalCode === null;
    },
    /** Resolves when it has read its files and answers. */
    async start() {
      servers.add(server);
      if (!existsSync(file)) {
        const all = { port, bind: '127.0.0.1', dir: folder, logfile: 'redis.log', ...settings };
        const lines = Object.entries(all).flatMap(([name, values]) =>
          [values].flat().map((value) => `${name} ${value}\n`),
        );
        writeFileSync(file, lines.join(''));
      }
      child = spawn(program, [file, ...(asSentinel ? ['--sentinel'] : [])], { stdio: 'ignore' });
      const deadline = Date.now() + START_LIMIT_MS;
      while ((await server.ask('PING')) !== 'PONG') {
        if (!server.runs || Date.now() > deadline) {
          throw new Error(`redis-server does not start: see ${folder}/redis.log`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async kill() {
      servers.delete(server);
      if (!server.runs) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
  };
  await server.start();
  return server;
}

/** One Redis, as a topology: what its clients connect to, and a connection for the verification. */
export async function createSingleServer(folder) {
  const server = await createServer(folder, persistent);
  const redis = `redis://${server.address}`;
  return Object.assign(server, {
    redis,
    connection: () => new Redis(redis),
    end: () => server.kill(),
  });
}
