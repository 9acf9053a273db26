/** What the process sees: how long it lives, what is collected, threads, and several copies. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventBusError } from '..';
import { RedisServer } from './support/redis-server';
import { runNode, runScript } from './support/scripts';

const ROOT = join(__dirname, '..');
let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** Runs with a client `bus` on each transport. */
const each = test.each([['memory'], ['redis']]);
const client = (transport: string) =>
  transport === 'redis'
    ? `const bus = new oxbus.EventBusClient({ redis: args[0], logLevel: 'error' });`
    : `const bus = new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error' });`;

const clean = { code: 0, signal: null, err: '' };

each('a script that closes its client ends (%s)', async (transport) => {
  const code = `${client(transport)} await bus.publish('a', 1); await bus.disconnect(); console.log('done');`;
  expect(await runScript(code, [server.url])).toMatchObject({ ...clean, out: 'done\n' });
});

each('a script that does not, but has no subscription, ends (%s)', async (transport) => {
  const code = `${client(transport)} await bus.connect(); await bus.publish('a', 1); console.log('done');`;
  expect(await runScript(code, [server.url])).toMatchObject({ ...clean, out: 'done\n' });
});

each('a script with a subscription lives until it ends (%s)', async (transport) => {
  const code = `${client(transport)}
    const sub = await bus.subscribe('a', async () => {
      console.log('handled');
      await sub.unsubscribe();
      console.log('over');
    });
    bus.publish('a', 1);`;
  expect(await runScript(code, [server.url])).toMatchObject({ ...clean, out: 'handled\nover\n' });
  const stays = `${client(transport)} await bus.subscribe('a', () => {});`;
  expect(await runScript(stays, [server.url], 1500)).toMatchObject({ signal: 'SIGKILL', err: '' });
});

test('a connection that is never made does not keep the process alive', async () => {
  const code = `const bus = new oxbus.EventBusClient({ redis: { port: 1, connectTimeout: 100 }, logLevel: 'error' });
    await bus.connect().catch((error) => console.log(error.code.startsWith('ERR_BUS_CONN')));`;
  expect(await runScript(code)).toMatchObject({ ...clean, out: 'true\n' });
});

each('a client that is dropped is collected (%s)', async (transport) => {
  const code = `
    async function use() {
      ${client(transport)}
      await bus.connect();
      const sub = await bus.subscribe('a', () => {});
      await bus.publish('a', 1);
      await sub.unsubscribe();
      return new WeakRef(bus);
    }
    const dropped = await use();
    for (let n = 0; n < 200 && dropped.deref(); n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
    }
    console.log(dropped.deref() === undefined);`;
  expect(await runScript(code, [server.url])).toMatchObject({ ...clean, out: 'true\n' });
});

test('a failing handler never reaches the process', async () => {
  const code = `${client('memory')}
    process.on('uncaughtException', () => console.log('uncaught'));
    process.on('unhandledRejection', () => console.log('unhandled'));
    await bus.subscribe('a', () => { throw undefined; }, { retryOnError: false });
    await bus.subscribe('a', () => Promise.reject(), { retryOnError: false });
    await bus.publish('a', 1);
    while (bus.getStats().eventsFailed < 2) await new Promise((r) => setTimeout(r, 5));
    await bus.disconnect();
    console.log('done');`;
  const ended = await runScript(code);
  expect(ended).toMatchObject({ code: 0, out: 'done\n' });
});

test('threads are started and terminated under load', async () => {
  const entry = JSON.stringify(join(ROOT, 'index.js'));
  const code = `
    const { Worker } = require('node:worker_threads');
    ${client('redis')}
    let seen = 0;
    await bus.subscribe('n', () => { seen += 1; });
    const load = \`
      const { EventBusClient } = require(${entry.replaceAll('"', "'")});
      const { parentPort, workerData } = require('node:worker_threads');
      const bus = new EventBusClient({ redis: workerData, logLevel: 'error' });
      bus.subscribe('n', () => {}).then(() => {
        parentPort.postMessage('running');
        const go = () => { bus.publish('n', 1).catch(() => {}); setImmediate(go); };
        go();
      });
    \`;
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(Array.from({ length: 4 }, async () => {
        const worker = new Worker(load, { eval: true, workerData: args[0] });
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        await worker.terminate();
      }));
    }
    const before = seen;
    await bus.publish('n', 1);
    while (seen === before) await new Promise((r) => setTimeout(r, 5));
    await bus.disconnect();
    console.log('done');`;
  const ended = await runScript(code, [server.url], 60_000);
  expect(ended).toMatchObject({ ...clean, out: 'done\n' });
}, 70_000);

test('the package loads again after a reset of the module registry', async () => {
  const first = require('..');
  jest.resetModules();
  const second = require('..');
  expect(second.EventBusClient).not.toBe(first.EventBusClient);
  const [a, b] = [first, second].map(
    ({ EventBusClient }) =>
      new EventBusClient({ mode: 'memory', memory: 'reset', logLevel: 'error' }),
  );
  const seen: unknown[] = [];
  await a.subscribe('x', (event: { data: unknown }) => seen.push(event.data));
  await b.publish('x', 1);
  const error = await b.publish('bad type', 1).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(EventBusError);
  expect(error).toBeInstanceOf(first.ValidationError);
  await Promise.all([a.disconnect(), b.disconnect()]);
  expect(seen).toEqual([1]);
});

describe('installed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-package-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules', 'oxbus'), 'dir');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const use = `const bus = new EventBusClient({ mode: 'memory', logLevel: 'error' });
    bus.publish('a', 1).then(() => bus.disconnect()).then(() => console.log(typeof escapePattern));`;

  test.each([
    ['use.cjs', `const { EventBusClient, escapePattern } = require('oxbus'); ${use}`],
    ['use.mjs', `import { EventBusClient, escapePattern } from 'oxbus'; ${use}`],
  ])('%s', async (name, code) => {
    writeFileSync(join(folder, name), code);
    const ended = await runNode([name], 10_000, folder);
    expect(ended).toMatchObject({ ...clean, out: 'function\n' });
  });
});
