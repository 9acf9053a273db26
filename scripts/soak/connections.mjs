import { Redis } from 'ioredis';
import { payloads } from '../../benchmark/support/payloads.mjs';
import { startServer } from '../../benchmark/support/server.mjs';
import { EventBusClient } from '../../index.js';

const REPORTS = 20;
const BURST = 50;
/** The pause between bursts, which makes about 10,000 events a second. */
const PAUSE_MS = 5;
const RECOVERY_MS = 10_000;
/** The second half may take this much more memory than the first one did at its end. */
const GROWTH = 1.2;
const GROWTH_FLOOR_MB = 20;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * A publisher and a subscriber over a Redis that cuts their connections now and then. A problem is memory that grows,
 * a loss that is not announced, and a client that does not come back.
 *
 * @returns the problems
 */
export async function soakConnections(minutes) {
  const server = await startServer();
  const admin = new Redis(server.url);
  const options = { mode: 'redis', redis: server.url, logLevel: 'error' };
  const publisher = new EventBusClient({ serviceName: 'soak-publisher', ...options });
  const subscriber = new EventBusClient({ serviceName: 'soak-subscriber', ...options });
  const counts = {
    published: 0,
    notSent: 0,
    rejected: 0,
    unknown: 0,
    unclassified: 0,
    received: 0,
    gaps: 0,
    cuts: 0,
  };
  subscriber.on('gap', () => {
    counts.gaps += 1;
  });
  await subscriber.subscribe('soak.*', () => {
    counts.received += 1;
  });
  await publisher.connect();

  const [data] = payloads('small');
  const outcomes = { not_sent: 'notSent', rejected: 'rejected', unknown: 'unknown' };
  const publishOne = () =>
    publisher.publish('soak.event', data).then(
      () => {
        counts.published += 1;
      },
      (error) => {
        counts[outcomes[error.outcome] ?? 'unclassified'] += 1;
      },
    );

  const lasts = minutes * 60_000;
  const started = Date.now();
  const memory = [];
  let reports = 0;
  while (Date.now() - started < lasts) {
    await Promise.all(Array.from({ length: BURST }, publishOne));
    await pause(PAUSE_MS);
    if (Date.now() - started < ((reports + 1) * lasts) / REPORTS) continue;
    reports += 1;
    const resident = process.memoryUsage.rss() / 2 ** 20;
    memory.push(resident);
    const seconds = Math.round((Date.now() - started) / 1000);
    console.log(`${seconds} s  ${resident.toFixed(0)} MB  ${JSON.stringify(counts)}`);
    if (reports === REPORTS) break;
    await admin.call('CLIENT', 'KILL', 'TYPE', reports % 2 === 0 ? 'normal' : 'pubsub');
    counts.cuts += 1;
  }

  const problems = [];
  const recovered = await Promise.allSettled(
    [publisher, subscriber].map((bus) => bus.waitUntilReady({ timeout: RECOVERY_MS })),
  );
  if (recovered.some(({ status }) => status === 'rejected'))
    problems.push('a client did not recover');

  // Everything published after the last cut has to arrive.
  const before = counts.received;
  const published = counts.published;
  await Promise.all(Array.from({ length: BURST }, publishOne));
  const deadline = Date.now() + RECOVERY_MS;
  while (counts.received - before < counts.published - published && Date.now() < deadline) {
    await pause(10);
  }
  if (counts.published - published < BURST) problems.push('publishing does not work any more');
  if (counts.received - before < counts.published - published)
    problems.push('events do not arrive');

  if (counts.unclassified > 0)
    problems.push(`${counts.unclassified} publishes failed without an outcome`);
  const { eventsDropped } = subscriber.getStats();
  const missing = counts.published - counts.received - eventsDropped;
  if (missing > 0 && counts.gaps === 0) problems.push(`${missing} events lost without a gap`);
  const middle = memory[Math.floor(memory.length / 2)];
  const end = memory.at(-1);
  if (end > middle * GROWTH + GROWTH_FLOOR_MB) {
    problems.push(`memory grew from ${middle.toFixed(0)} to ${end.toFixed(0)} MB`);
  }
  console.log(`dropped ${eventsDropped}, missing after ${counts.gaps} gaps: ${missing}`);

  await Promise.all([publisher.disconnect(), subscriber.disconnect()]);
  admin.disconnect();
  server.stop();
  return problems;
}
