import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { ensureRedisServer } from '../redis.mjs';

const START_LIMIT_MS = 20_000;

/**
 * Below the ports that systems give to outgoing connections: while the server is down, a client that
 * connects to such a port could get it as its own and talk to itself.
 */
const [FIRST_PORT, PORTS] = [20_000, 10_000];

async function freePort() {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

function ping(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.on('data', (data) => {
      socket.destroy();
      resolve(data.toString().startsWith('+PONG'));
    });
    socket.on('error', () => resolve(false));
  });
}

/** A Redis that writes to disk before it confirms, and can be killed and started again. */
export async function createServerProcess(folder) {
  const program = ensureRedisServer();
  const port = await freePort();
  mkdirSync(folder);
  let child;

  const server = {
    url: `redis://127.0.0.1:${port}`,
    /** Resolves when it has read its files and answers. */
    async start() {
      const args = {
        ...{ port, bind: '127.0.0.1', dir: folder, save: '', logfile: 'redis.log' },
        ...{ appendonly: 'yes', appendfsync: 'always' },
      };
      child = spawn(
        program,
        Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]),
        { stdio: 'ignore' },
      );
      const deadline = Date.now() + START_LIMIT_MS;
      while (!(await ping(port))) {
        if (child.exitCode !== null || Date.now() > deadline) {
          throw new Error(`redis-server does not start: see ${folder}/redis.log`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async kill() {
      const ended = once(child, 'exit');
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await ended;
    },
  };
  process.once('exit', () => child?.kill('SIGKILL'));
  await server.start();
  return server;
}
