import { backlogOf, emptied, freshName, withRedis } from './support/backlog.mjs';
import { SUBJECT } from './support/contestants.mjs';
import { startContestant } from './support/process.mjs';

export const question =
  'What does an event cost in a long stream, and in one that many groups consume?';

export const metrics = [
  { key: 'publish', label: 'publish CPU µs/event', better: 'lower', digits: 2 },
  { key: 'consume', label: 'consume CPU µs/delivery', better: 'lower', digits: 2, compared: true },
  { key: 'server', label: 'Redis CPU µs/delivery', better: 'lower', digits: 2, compared: true },
  { key: 'xadd', label: 'XADD µs/call', better: 'lower', digits: 2 },
  { key: 'xreadgroup', label: 'XREADGROUP µs/call', better: 'lower', digits: 1 },
  { key: 'xack', label: 'XACK µs/call', better: 'lower', digits: 2 },
  { key: 'evalsha', label: 'EVALSHA µs/call', better: 'lower', digits: 1 },
];

/** A round takes long and its figures scatter little. */
export const rounds = 3;

const CONCURRENCY = 100;
const DELIVERIES_PER_SECOND = 100_000;

const contestants = [SUBJECT, 'ioredis'];

export const cases = [
  { name: '10,000 entries, 1 group', length: 10_000, groups: 1, contestants },
  { name: '100,000 entries, 1 group', length: 100_000, groups: 1, contestants },
  { name: '1,000,000 entries, 1 group', length: 1_000_000, groups: 1, contestants },
  { name: '10,000 entries, 10 groups', length: 10_000, groups: 10, contestants },
  { name: '10,000 entries, 50 groups', length: 10_000, groups: 50, contestants },
];

/** One run of one contestant; fails when a delivery is missing, doubled or not acknowledged. */
export function measure(contestant, { length, groups: count }, { server, duration }) {
  return emptied(server, async () => {
    const stream = freshName();
    const groups = Array.from({ length: count }, (_, index) => `group-${index}`);
    const events = Math.ceil((DELIVERIES_PER_SECOND * duration) / 1000 / count);
    await backlogOf(contestant).fill(server, stream, length, 'small');
    return withRedis(server, async (redis) => {
      for (const group of groups) await redis.xgroup('CREATE', stream, group, '$');
      return measureBehind(contestant, redis, {
        ...{ url: server.url, stream, groups, events, concurrency: CONCURRENCY },
      });
    });
  });
}

async function measureBehind(contestant, redis, params) {
  const { stream, groups } = params;
  const child = startContestant();
  try {
    child.send({ kind: 'run', contestant, task: 'length', params });
    await child.next('warm');
    await redis.config('RESETSTAT');
    child.send({ kind: 'publish' });
    await child.next('published');
    const { xadd } = await perCall(redis);

    await redis.config('RESETSTAT');
    const before = await serverCpu(redis);
    child.send({ kind: 'consume' });
    const { result } = await child.next('result');
    const { publish, consume, deliveries, handled } = result;
    const server = ((await serverCpu(redis)) - before) / deliveries;
    const { xreadgroup, xack, evalsha } = await perCall(redis);

    let pending = 0;
    for (const group of groups) pending += (await redis.xpending(stream, group))[0];
    if (handled !== deliveries || pending !== 0) {
      throw new Error(`${handled} deliveries of ${deliveries}, and ${pending} pending`);
    }
    return { publish, consume, server, xadd, xreadgroup, xack, evalsha };
  } finally {
    await child.stop();
  }
}

/** Microseconds that the server spent per call of each command; those inside scripts count too. */
async function perCall(redis) {
  const text = await redis.info('commandstats');
  return Object.fromEntries(
    [...text.matchAll(/^cmdstat_(\S+):.*usec_per_call=([\d.]+)/gm)].map(([, name, value]) => [
      name,
      Number(value),
    ]),
  );
}

/** CPU of the server so far, in microseconds. */
async function serverCpu(redis) {
  const text = await redis.info('cpu');
  const seconds = ['used_cpu_sys', 'used_cpu_user'].map((name) =>
    Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)?.[1]),
  );
  return (seconds[0] + seconds[1]) * 1e6;
}
