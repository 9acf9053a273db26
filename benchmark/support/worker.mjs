import { startContestant } from './process.mjs';

/** A consumer process of its own (tasks/worker.mjs), and which events ran in it when. */
export async function startWorker(contestant, params) {
  const child = startContestant();
  /** @type {Map<string, number>} */
  const runs = new Map();
  let count = 0;
  let lastEnd;
  let changed = () => {};
  child.each('run', ({ id, at }) => {
    count += 1;
    runs.set(id, at);
    changed();
  });
  child.each('ran', ({ at }) => {
    lastEnd = at;
    changed();
  });

  async function until(holds, limitMs = 10_000) {
    const deadline = Date.now() + limitMs;
    while (!holds(runs)) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${runs.size} events ran within ${limitMs} ms`);
      await new Promise((resolve) => {
        const limit = setTimeout(resolve, left);
        changed = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    }
  }

  child.send({ kind: 'run', contestant, task: 'worker', params });
  await child.next('ready');
  return {
    runs,
    until,
    /** How many runs there were; repeated runs of an event count too. */
    count: () => count,
    /** Resolves to when a handler has ended. */
    async ended(limitMs) {
      await until(() => lastEnd !== undefined, limitMs);
      return lastEnd;
    },
    /** Begins an ordinary shutdown and resolves to the time when it began. */
    async shutDown() {
      child.send({ kind: 'stop' });
      return (await child.next('stopping')).at;
    },
    /** Kills it. */
    stop: () => child.stop(),
  };
}
