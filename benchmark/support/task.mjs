import { startContestant } from './process.mjs';

/** Runs a task that needs nobody at the other end but Redis. */
export async function runTask(contestant, task, params, execArgv = []) {
  const child = startContestant({ execArgv });
  try {
    child.send({ kind: 'run', contestant, task, params });
    return (await child.next('result')).result;
  } finally {
    await child.stop();
  }
}
