import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../scripts/free-port.mjs';
import { ensureRedisServer } from '../../scripts/redis.mjs';

const START_LIMIT_MS = 10_000;

async function untilReachable(port) {
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      socket.destroy();
    }
  }
}

/** A redis-server of our own: free port, nothing stored, no limit on what a subscriber is owed. */
export async function startServer() {
  const program = ensureRedisServer();
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-bench-'));
  const child = spawn(
    program,
    [
      ['--port', port],
      ['--bind', '127.0.0.1'],
      ['--dir', folder],
      ['--save', ''],
      ['--appendonly', 'no'],
      ['--client-output-buffer-limit', 'pubsub 0 0 0'],
    ]
      .flat()
      .map(String),
    { stdio: 'ignore' },
  );
  const stop = () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', stop);
  await untilReachable(port);
  const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout;
  return { port, url: `redis://127.0.0.1:${port}`, version: /v=([\d.]+)/.exec(version)?.[1], stop };
}
