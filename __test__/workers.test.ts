/** Threads that load the addon and are terminated while it works. With OXBUS_SOAK=1 many more. */

import { join } from 'node:path';
import { RedisServer } from './support/redis-server';
import { runScript } from './support/scripts';

const SOAK = process.env.OXBUS_SOAK === '1';
const ROUNDS = SOAK ? 20 : 4;
const WORKERS = SOAK ? 50 : 8;
const LIMIT = SOAK ? 600_000 : 60_000;

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** Tells its parent how far it is; the parent terminates it at one of these points. */
const WORKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { EventBusClient } = require(workerData.entry);
  parentPort.postMessage('loaded');
  const quiet = { logLevel: 'error' };
  const buses = [
    new EventBusClient({ redis: workerData.redis, ...quiet }),
    new EventBusClient({ mode: 'memory', ...quiet }),
  ];
  for (const bus of buses) bus.connect().catch(() => {});
  parentPort.postMessage('connecting');
  const flow = (bus) => {
    const burst = Array.from({ length: 20 }, (_, n) => bus.publish('storm', { n }));
    return Promise.allSettled(burst).then(() => setImmediate(flow, bus));
  };
  let flowing = 0;
  Promise.all(buses.map((bus) => bus.subscribe('storm', async () => {
    if (++flowing === 50) parentPort.postMessage('flowing');
    await null;
  }))).then(() => {
    parentPort.postMessage('subscribed');
    buses.forEach(flow);
  });
`;
const POINTS = ['loaded', 'connecting', 'subscribed', 'flowing'];

const STORM = `
  const { readdirSync } = require('node:fs');
  const { Worker } = require('node:worker_threads');
  const [redis, entry, worker, points, rounds, workers] = args;
  const until = async (condition, what) => {
    const end = performance.now() + 20_000;
    while (!condition()) {
      if (performance.now() > end) throw new Error('never: ' + what());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const fds = () => process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;

  const buses = [
    new oxbus.EventBusClient({ redis, logLevel: 'error' }),
    new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error' }),
  ];
  const seen = [0, 0];
  const published = [0, 0];
  let running = true;
  for (const [at, bus] of buses.entries()) await bus.subscribe('main', () => { seen[at] += 1; });
  const flows = buses.map(async (bus, at) => {
    while (running) {
      await bus.publish('main', 1);
      published[at] += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  const round = () => Promise.all(Array.from({ length: workers }, async (_, n) => {
    const thread = new Worker(worker, { eval: true, workerData: { redis, entry } });
    await new Promise((resolve, reject) => {
      thread.on('message', (point) => point === points[n % points.length] && resolve());
      thread.on('error', reject);
      thread.on('exit', (code) => reject(new Error('a thread ended with ' + code)));
    });
    await thread.terminate();
  }));

  // A little of it is made once per process; each thread that leaks would add one or more.
  const base = fds() + 4;
  const memory = [];
  for (let n = 0; n < rounds; n += 1) {
    await round();
    memory.push(process.memoryUsage.rss() / 2 ** 20);
  }
  await until(() => fds() <= base, () => fds() + ' descriptors, first ' + base);
  running = false;
  await Promise.all(flows);
  await until(() => seen.every((count, at) => count === published[at]), () => seen + ' of ' + published);
  if (published.some((count) => count === 0)) throw new Error('the main thread stood still');
  await Promise.all(buses.map((bus) => bus.disconnect()));
  console.log(JSON.stringify(memory));
`;

test(
  'threads are terminated at every stage, and the main thread does not notice',
  async () => {
    const entry = join(__dirname, '..', 'index.js');
    const args = [server.url, entry, WORKER, POINTS, ROUNDS, WORKERS];
    const ended = await runScript(STORM, args, { limit: LIMIT });
    expect(ended).toMatchObject({ code: 0, signal: null, err: '' });
    if (!SOAK) return;
    const memory: number[] = JSON.parse(ended.out);
    const middle = memory[Math.floor(memory.length / 2)]!;
    expect(memory.at(-1)).toBeLessThan(middle * 1.2);
  },
  LIMIT + 5000,
);

test('a thread that ends by itself closes what it left open', async () => {
  const code = `
    const { Worker } = require('node:worker_threads');
    const source = \`
      const { EventBusClient } = require(require('node:worker_threads').workerData.entry);
      const bus = new EventBusClient({ redis: require('node:worker_threads').workerData.redis, logLevel: 'error' });
      bus.subscribe('a', () => {}).then(() => process.exit(3));
    \`;
    for (let n = 0; n < 5; n += 1) {
      const thread = new Worker(source, { eval: true, workerData: { redis: args[0], entry: args[1] } });
      const code = await new Promise((resolve) => thread.once('exit', resolve));
      if (code !== 3) throw new Error('exit code ' + code);
    }
    console.log('done');`;
  const ended = await runScript(code, [server.url, join(__dirname, '..', 'index.js')]);
  expect(ended).toMatchObject({ code: 0, signal: null, err: '', out: 'done\n' });
});
