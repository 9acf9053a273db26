// One contestant doing one task: a process of its own, told by the parent what to do.

import { load, loadStreams } from './contestants.mjs';

const waiting = new Map();
const arrived = new Map();
process.on('message', (message) => {
  const resolve = waiting.get(message.kind);
  if (!resolve) return arrived.set(message.kind, message);
  waiting.delete(message.kind);
  resolve(message);
});
process.on('disconnect', () => process.exit());

const parent = {
  send: (message) => process.send(message),
  /** The next message of that kind. */
  next(kind) {
    const message = arrived.get(kind);
    if (message) {
      arrived.delete(kind);
      return Promise.resolve(message);
    }
    return new Promise((resolve) => waiting.set(kind, resolve));
  },
};

const { contestant, task, params } = await parent.next('run');
try {
  const { run } = await import(`../tasks/${task}.mjs`);
  const result = await run({
    load: () => load(contestant),
    loadStreams: () => loadStreams(contestant),
    contestant,
    params,
    parent,
  });
  process.send({ kind: 'result', result });
} catch (error) {
  process.send({ kind: 'failed', message: error.stack ?? String(error) });
}
