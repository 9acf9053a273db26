import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ensureRedisServer } from '../scripts/redis.mjs';
import { CHANNEL } from './support/channel.mjs';
import { FLOOR, peers, SUBJECT } from './support/contestants.mjs';
import { eventTexts } from './support/events.mjs';
import { startProcess } from './support/process.mjs';

const PIPELINE = 64;
const ARRIVAL_MS = 10_000;

export const question =
  'How many events per second can a service publish, and what does each cost?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2 },
];

const contestants = [SUBJECT, ...peers, FLOOR, 'redis-benchmark'];

export const cases = [
  { name: 'small events, 500 in flight', payload: 'small', inFlight: 500, contestants },
  { name: 'small events, one at a time', payload: 'small', inFlight: 1, contestants },
  { name: 'GitHub webhooks (10 KB), 500 in flight', payload: 'github', inFlight: 500, contestants },
];

/** One run of one contestant; fails when not every published event arrived at the counter. */
export async function measure(contestant, { payload, inFlight }, { server, duration, warmUp }) {
  if (contestant === 'redis-benchmark') {
    return redisBenchmark(server, payload, inFlight === 1 ? 1 : PIPELINE, duration);
  }
  const counter = startProcess('./arrivals.mjs', [server.port]);
  const child = startProcess('./child.mjs');
  try {
    await counter.next('listening');
    child.send({
      kind: 'run',
      contestant,
      task: 'publish',
      params: { url: server.url, payload, inFlight, duration, warmUp },
    });
    const { result } = await child.next('result');
    if (contestant !== FLOOR) await untilArrived(counter, result.published);
    return result;
  } finally {
    await Promise.all([child.stop(), counter.stop()]);
  }
}

async function untilArrived(counter, expected) {
  const deadline = Date.now() + ARRIVAL_MS;
  for (;;) {
    counter.send({ kind: 'count' });
    const { count } = await counter.next('count');
    if (count === expected) return;
    if (count > expected || Date.now() > deadline) {
      throw new Error(`${expected} events were published and ${count} arrived`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// What Redis itself takes: a program in C that sends the same bytes again and again.
async function redisBenchmark(server, payload, pipeline, duration) {
  const program = join(dirname(ensureRedisServer()), 'redis-benchmark');
  if (!existsSync(program)) throw new Error('redis-benchmark is not installed');
  const counter = startProcess('./arrivals.mjs', [server.port]);
  try {
    await counter.next('listening');
    const perSecond = pipeline === 1 ? 20_000 : payload === 'small' ? 300_000 : 40_000;
    // It sends whole pipelines only.
    const count = Math.ceil((perSecond * duration) / 1000 / PIPELINE) * PIPELINE;
    const clients = pipeline === 1 ? 1 : 8;
    const args = ['-p', server.port, '-c', clients, '-n', count, '-P', pipeline, '-q'];
    const { stdout } = spawnSync(
      program,
      [...args.map(String), 'PUBLISH', CHANNEL, eventTexts(payload)[0]],
      { encoding: 'utf8', maxBuffer: 1 << 28 },
    );
    const rates = [...stdout.matchAll(/([\d.]+) requests per second/g)];
    if (rates.length === 0) throw new Error(`redis-benchmark: ${stdout.slice(0, 200)}`);
    await untilArrived(counter, count);
    return { rate: Number(rates.at(-1)[1]) };
  } finally {
    await counter.stop();
  }
}
