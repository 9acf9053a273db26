// `node benchmark/cli.mjs [--letters 100000] [--rounds 5]`: what the command line costs beside Node itself and beside the API.
//
// It is a program of its own, as it measures processes and not clients. It starts its own Redis server.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { EventBusClient, NonRetryableError } from '../index.js';
import { startServer } from './support/server.mjs';

/** So many events are published at once. */
const BATCH = 500;
const CLI = fileURLToPath(new URL('../cli.js', import.meta.url));
const { values } = parseArgs({
  options: {
    letters: { type: 'string', default: '100000' },
    events: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
  },
});
const [letters, events, rounds] = [values.letters, values.events, values.rounds].map(Number);
const folder = mkdtempSync(join(tmpdir(), 'oxbus-cli-bench-'));
const server = await startServer();
const url = server.url ?? `redis://127.0.0.1:${server.port}`;
const redis = new Redis(url);
const env = { ...process.env, REDIS_URL: url };
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const say = (text) => process.stdout.write(`${text}\n`);

/** How long a program runs, in ms: the median of some runs. */
function runTime(args) {
  const once = () => {
    const from = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, { env, cwd: folder });
    if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
    return performance.now() - from;
  };
  once();
  return median(Array.from({ length: rounds * 4 }, once));
}

/** How long it takes until a program has written, and until it has ended, in ms. */
async function firstRow(args) {
  const from = performance.now();
  const child = spawn(process.execPath, [CLI, ...args], { env, cwd: folder });
  let first;
  child.stdout.once('data', () => {
    first = performance.now() - from;
  });
  child.stdout.resume();
  await once(child, 'close');
  return { first, total: performance.now() - from };
}

async function firstRows(args) {
  await firstRow(args);
  const all = [];
  for (let at = 0; at < rounds * 2; at += 1) all.push(await firstRow(args));
  return { first: median(all.map((one) => one.first)), total: median(all.map((one) => one.total)) };
}

/** A stream with dead letters: one that a handler has made, and copies of it. */
async function makeLetters(count) {
  await redis.flushall();
  const bus = new EventBusClient({
    redis: url,
    serviceName: 'bench',
    logLevel: 'silent',
    streams: [{ name: 'orders', events: 'order.*', consumerGroups: ['billing'] }],
    deadLetter: { maxLength: count * 2 },
  });
  const died = once(bus, 'deadLetter');
  const subscription = await bus.subscribe(
    'order.*',
    () => {
      throw new NonRetryableError('no such account');
    },
    { group: 'billing' },
  );
  await bus.publish('order.paid', { orderId: '4711', total: 9.5 });
  await died;
  await subscription.unsubscribe();
  await bus.disconnect();
  const copy = `local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2]
    for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', unpack(first)) end`;
  for (let left = count - 1; left > 0; left -= 10_000) {
    await redis.eval(copy, 1, 'orders:dlq', Math.min(left, 10_000));
  }
}

async function replayTimes(count) {
  // One call after the other, of a tenth of them: all would take minutes.
  const few = Math.max(1, Math.floor(count / 10));
  await makeLetters(few);
  const bus = new EventBusClient({ observe: true, redis: url, logLevel: 'silent' });
  const ids = [];
  for (let after; ; ) {
    const page = await bus.deadLetters.list({ stream: 'orders', limit: 1000, after });
    ids.push(...page.map(({ id }) => id));
    after = page.at(-1)?.id;
    if (page.length < 1000) break;
  }
  const from = performance.now();
  for (const id of ids) await bus.deadLetters.replay(id);
  const each = (performance.now() - from) / ids.length;
  await bus.disconnect();
  await makeLetters(count);
  const args = ['dlq', 'replay', '--all', '--yes', '--json'];
  const began = performance.now();
  const ended = spawnSync(process.execPath, [CLI, ...args], { env, cwd: folder });
  const took = performance.now() - began;
  const { replayed } = JSON.parse(String(ended.stdout));
  if (replayed !== count) throw new Error(`${replayed} of ${count} were replayed: ${ended.stderr}`);
  return { api: each * count, cli: took };
}

/** Events per second that `tail` writes to a file, published as fast as they are taken. */
async function tailRate(format, count) {
  const path = join(folder, 'tail.txt');
  const file = openSync(path, 'w');
  const args = [CLI, 'tail', '*', '--limit', String(count), '--format', format];
  const child = spawn(process.execPath, args, {
    env,
    cwd: folder,
    stdio: ['ignore', file, 'pipe'],
  });
  let notes = '';
  child.stderr.on('data', (text) => {
    notes += text;
  });
  while (!notes.includes('listening')) await once(child.stderr, 'data');
  const message = JSON.stringify({
    id: '0194fdc2-fa2f-7cc0-81d3-ff1203b9e5d1',
    type: 'order.paid',
    data: { orderId: '4711', status: 'paid', items: [1, 2, 3].map((n) => ({ n, sku: `A-${n}` })) },
    metadata: {
      timestamp: new Date().toISOString(),
      source: 'bench',
      correlationId: '0194fdc2-fa2f-7cc0-81d3-ff1203b9e5d1',
    },
  });
  const from = performance.now();
  const closed = once(child, 'close');
  let isOpen = true;
  closed.then(() => {
    isOpen = false;
  });
  // A batch at a time, so that the publisher is not far ahead: what is dropped would never come. It is written as bytes, as this
  // process shares the machine with what is measured.
  const words = ['PUBLISH', 'order.paid', message];
  const one = `*3\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
  const batch = Buffer.from(one.repeat(BATCH));
  const socket = connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  let replies = 0;
  let wake = () => {};
  closed.then(() => wake());
  socket.on('data', (bytes) => {
    for (const byte of bytes) if (byte === 0x0a) replies += 1;
    wake();
  });
  for (let sent = 0; sent < count + 50_000 && isOpen; sent += BATCH) {
    socket.write(batch);
    while (sent - replies > 2 * BATCH && isOpen) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  }
  await Promise.race([
    closed,
    new Promise((_, late) => setTimeout(late, 60_000, new Error(notes))),
  ]);
  socket.destroy();
  const seconds = (performance.now() - from) / 1000;
  closeSync(file);
  const lines = readFileSync(path, 'latin1').split('\n').length - 1;
  if (lines !== count) throw new Error(`${lines} of ${count} lines: ${notes}`);
  return { rate: Math.round(count / seconds), bytes: statSync(path).size };
}

async function storedRate(count) {
  await redis.flushall();
  const bus = new EventBusClient({
    redis: url,
    serviceName: 'bench',
    logLevel: 'silent',
    streams: [{ name: 'orders', events: 'order.*', maxLength: count * 2, realtime: false }],
  });
  const item = { type: 'order.paid', data: { orderId: '4711', status: 'paid', total: 9.5 } };
  for (let sent = 0; sent < count; sent += 1000) {
    await bus.publishBatch(Array.from({ length: 1000 }, () => item));
  }
  await bus.disconnect();
  const path = join(folder, 'stored.txt');
  const file = openSync(path, 'w');
  const args = [CLI, 'tail', '--stream', 'orders', '--from', 'beginning', '--no-follow', '--json'];
  const from = performance.now();
  const { status } = spawnSync(process.execPath, args, {
    env,
    cwd: folder,
    stdio: ['ignore', file, 'inherit'],
  });
  const seconds = (performance.now() - from) / 1000;
  closeSync(file);
  if (status !== 0) throw new Error(`tail --stream ended with ${status}`);
  return Math.round(count / seconds);
}

try {
  const node = runTime(['-e', '0']);
  const help = runTime([CLI, '--help']);
  say(`node -e 0: ${node.toFixed(1)} ms`);
  say(`oxbus --help: ${help.toFixed(1)} ms, ${(help / node).toFixed(2)} × (must: ≤ 2.5 ×)`);
  await makeLetters(letters);
  const streams = await firstRows(['streams']);
  say(
    `first row of streams: ${streams.first.toFixed(1)} ms, ${(streams.first / node).toFixed(2)} × (must: ≤ 4 ×)`,
  );
  const list = await firstRows(['dlq', 'list']);
  say(
    `dlq list of ${letters}: first rows after ${list.first.toFixed(0)} ms, the last after ${list.total.toFixed(0)} ms`,
  );
  const replayed = await replayTimes(letters);
  say(
    `dlq replay --all of ${letters}: ${(replayed.cli / 1000).toFixed(1)} s; one call each ${(replayed.api / 1000).toFixed(1)} s ` +
      `(from a tenth of them): ${(replayed.api / replayed.cli).toFixed(1)} × (must: ≥ 10 ×)`,
  );
  for (const format of ['text', 'json']) {
    const { rate, bytes } = await tailRate(format, events);
    say(`tail --format ${format} to a file: ${rate} events/s, ${bytes} bytes (must: ≥ 100000)`);
  }
  say(`tail --stream to a file: ${await storedRate(Math.min(events, 500_000))} events/s`);
} finally {
  redis.disconnect();
  server.stop();
  rmSync(folder, { recursive: true, force: true });
}
