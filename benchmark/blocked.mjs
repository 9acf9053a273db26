import { backlogOf, emptied, freshName } from './support/backlog.mjs';
import { SUBJECT } from './support/contestants.mjs';
import { startWorker } from './support/worker.mjs';

export const question =
  'How often is an event handled whose handler blocks the event loop for longer than the lease?';

export const metrics = [
  { key: 'runs', label: 'runs', better: 'lower', digits: 0, compared: true },
  { key: 'settled', label: 'acknowledged after its end, ms', better: 'lower', digits: 0 },
];

/** The result does not scatter. */
export const rounds = 1;

const GROUP = 'bench';
const LEASE_MS = 5000;
const SETTLE_MS = 10_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const cases = [
  {
    name: 'two processes, lease 5 s',
    contestants: [SUBJECT, 'bullmq'],
  },
];

/** One run; a second one of the event by Oxbus is a failure. */
export const measure = (contestant, _case, { server, block }) =>
  emptied(server, async () => {
    const stream = freshName();
    const backlog = backlogOf(contestant);
    const params = { url: server.url, stream, group: GROUP, concurrency: 1, lease: LEASE_MS };
    await backlog.fill(server, stream, 1, 'small');
    const first = await startWorker(contestant, { ...params, act: 'block', ms: block });
    let second;
    try {
      await first.until(({ size }) => size === 1);
      second = await startWorker(contestant, { ...params, act: 'count' });
      const ended = await first.ended(block + SETTLE_MS);
      const deadline = Date.now() + SETTLE_MS;
      while ((await backlog.acknowledged(server, stream, GROUP)) < 1) {
        if (Date.now() > deadline) throw new Error('the event was never acknowledged');
        await pause(5);
      }
      const settled = Date.now() - ended;
      // The second process would claim the event in this time, if it could.
      await pause(2 * LEASE_MS);
      const runs = first.count() + second.count();
      if (contestant === SUBJECT && runs !== 1) throw new Error(`the event ran ${runs} times`);
      return { runs, settled };
    } finally {
      await Promise.all([first.stop(), second?.stop()]);
    }
  });
