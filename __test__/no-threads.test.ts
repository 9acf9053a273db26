/** What a process sees when the system starts no thread for it. Linux counts the threads of a user (`RLIMIT_NPROC`). */

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { RedisServer } from './support/redis-server';
import { withCopy } from './support/scripts';

/** Root is not limited, so the program runs as somebody else. */
const USER = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** Each line that the program writes waits for one that it reads. */
const PRELUDE = `
  const { EventBusClient, ResourceError } = require(process.argv[1]);
  const port = Number(process.argv[2]);
  const lines = require('node:readline').createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const say = async (what) => { process.stdout.write(what + '\\n'); await lines.next(); };
  // A name, which has to be looked up.
  const open = () => new EventBusClient({ redis: { host: 'localhost', port }, logLevel: 'error' });
  const thrown = () => { try { open(); return 'nothing thrown'; } catch (error) { return shown(error); } };
  const shown = (error) => [error instanceof ResourceError, error.code, error.retryable].join();
  const use = async (bus) => {
    const got = new Promise((resolve) => bus.subscribe('a', resolve));
    await bus.waitUntilReady();
    await bus.publish('a', 1);
    await got;
    return 'used';
  };
`;

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** Runs a program, and after each line that it writes the next of `steps` with its process id. Returns the lines. */
function runWith(code: string, steps: readonly ((pid: number) => void)[]): Promise<string[]> {
  return withCopy(async (entry) => {
    chmodSync(dirname(entry), 0o755);
    const script = `${PRELUDE}(async () => {${code} process.exit(0); })();`;
    const child = spawn(process.execPath, ['-e', script, entry, String(server.port)], {
      cwd: dirname(entry),
      stdio: ['pipe', 'pipe', 'inherit'],
      ...USER,
    });
    const ended = new Promise((resolve) => child.once('close', (...how) => resolve(how)));
    const told: string[] = [];
    const killer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        told.push(line);
        steps[told.length - 1]?.(child.pid as number);
        child.stdin.write('\n');
      }
      expect({ ended: await ended, told }).toEqual({ ended: [0, null], told });
      return told;
    } finally {
      clearTimeout(killer);
      child.kill('SIGKILL');
    }
  });
}

/** Sets how many threads the user of a process may have for this process to start another. */
const setLimit = (pid: number, threads: string) =>
  execFileSync('prlimit', ['--pid', String(pid), `--nproc=${threads}:`], USER);
const limit = (pid: number) => void setLimit(pid, '1');
const lift = (pid: number) => {
  const show = ['--pid', String(pid), '--nproc', '--output', 'HARD', '--noheadings', '--raw'];
  setLimit(pid, execFileSync('prlimit', show, { ...USER, encoding: 'utf8' }).trim());
};

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('a client that gets no thread is refused, and a later one works', async () => {
  const code = `
    await say('started');
    await say(thrown());
    await say(thrown());
    await say(await use(open()));`;
  const told = await runWith(code, [limit, () => {}, lift]);
  const refused = 'true,ERR_BUS_NO_THREAD,true';
  expect(told).toEqual(['started', refused, refused, 'used']);
});

onLinux('a client that cannot look up its server tries until it can', async () => {
  const code = `
    const bus = open();
    await say('started');
    const failed = new Promise((resolve) => bus.on('reconnecting', ({ error }) => resolve(error)));
    bus.connect().catch(() => {});
    await say(shown(await failed));
    await say(await use(bus));`;
  const told = await runWith(code, [limit, lift]);
  expect(told).toEqual(['started', 'true,ERR_BUS_NO_THREAD,true', 'used']);
});
