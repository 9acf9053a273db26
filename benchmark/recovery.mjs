import { backlogOf, emptied, freshName } from './support/backlog.mjs';
import { SUBJECT } from './support/contestants.mjs';
import { startWorker } from './support/worker.mjs';

export const question =
  'How long until the events of a consumer that has gone are handled by another one?';

export const metrics = [
  { key: 'first', label: 'first after ms', better: 'lower', digits: 0, compared: true },
  { key: 'all', label: 'all after ms', better: 'lower', digits: 0, compared: true },
];

const GROUP = 'bench';
const CONCURRENCY = 10;
const LIMIT_MS = 60_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const contestants = [SUBJECT, 'bullmq'];

export const cases = [
  { name: 'killed in 10 handlers, lease 2 s', lease: 2000, ends: killed, contestants },
  { name: 'killed in 10 handlers, lease 5 s', lease: 5000, ends: killed, contestants },
  // A worker of BullMQ holds no job that it has not started.
  {
    name: 'ordinary shutdown with 10 events waiting, lease 30 s',
    lease: 30_000,
    ends: shutDown,
    contestants: [SUBJECT],
  },
];

export const measure = (contestant, { lease, ends }, { server }) =>
  emptied(server, async () => {
    const stream = freshName();
    const backlog = backlogOf(contestant);
    const params = { url: server.url, stream, group: GROUP, concurrency: CONCURRENCY, lease };
    const workers = [];
    const start = async (act) => {
      const worker = await startWorker(contestant, { ...params, act });
      workers.push(worker);
      return worker;
    };
    try {
      return await ends({
        start,
        lease,
        fill: (count) => backlog.fill(server, stream, count, 'small'),
        pending: () => backlog.pending(server, stream, GROUP),
      });
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
    }
  });

/** All events run in the first process when it is killed, at any moment between two renewals. */
async function killed({ start, lease, fill }) {
  await fill(CONCURRENCY);
  const first = await start('hold');
  await first.until(({ size }) => size === CONCURRENCY, LIMIT_MS);
  const second = await start('count');
  await pause((lease / 2) * (1 + Math.random()));
  const at = Date.now();
  await first.stop();
  await second.until(({ size }) => size === CONCURRENCY, LIMIT_MS);
  return sinceThen(at, [...second.runs.values()]);
}

/**
 * As many events wait in the first process as run there when it is told to stop. The second one has
 * handled all others by then.
 */
async function shutDown({ start, fill, pending }) {
  const events = 3 * CONCURRENCY;
  await fill(events);
  const first = await start('hold');
  await first.until(({ size }) => size === CONCURRENCY, LIMIT_MS);
  const deadline = Date.now() + LIMIT_MS;
  while ((await pending()) <= CONCURRENCY) {
    if (Date.now() > deadline) throw new Error('nothing waits in the first process');
    await pause(10);
  }
  const second = await start('count');
  const held = await pending();
  await second.until(({ size }) => size >= events - held, LIMIT_MS);
  const at = await first.shutDown();
  await second.until(({ size }) => size === events - CONCURRENCY, LIMIT_MS);
  return sinceThen(
    at,
    [...second.runs.values()].filter((run) => run >= at),
  );
}

function sinceThen(at, runs) {
  return { first: Math.min(...runs) - at, all: Math.max(...runs) - at };
}
