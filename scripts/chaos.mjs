// `npm run chaos -- [--seed n] [--seconds 60] [--runs 1] [--restarts n]`: publishers and consumers in
// processes of their own, while consumers are killed and frozen and the server is killed, at moments
// that follow from the seed. Fails when a resolved publish was not handled by every group, when the
// dead letters are not exactly the events that were built to fail, or when anything stays pending.
// With --restarts every consumer is killed so many times in quick succession, and nothing else happens.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { prepare, SetupError, script } from './prepare.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    runs: { type: 'string', default: '1' },
    restarts: { type: 'string', default: '0' },
  },
});

function number(name, least) {
  const value = Number(values[name]);
  if (values[name] === '' || !(value >= least)) {
    throw new SetupError(`--${name} is not a number of at least ${least}: ${values[name]}`);
  }
  return value;
}

await script('chaos', async () => {
  if (process.platform === 'win32') throw new SetupError('Windows has no signal that freezes');
  const [seconds, runs, restarts] = [
    number('seconds', 1),
    number('runs', 1),
    number('restarts', 0),
  ];
  const first = values.seed === undefined ? randomInt(2 ** 31) : number('seed', 0);
  prepare();
  const { runChaos } = await import('./chaos/run.mjs');

  const failed = [];
  for (let seed = first; seed < first + runs; seed += 1) {
    console.log(`seed ${seed}`);
    const { problems, summary, folder } = await runChaos({ seed, seconds, restarts });
    console.log(JSON.stringify(summary));
    if (problems.length === 0) continue;
    failed.push(seed);
    for (const problem of problems) console.log(`  ${problem}`);
    console.log(`  journals and the server's files are in ${folder}`);
  }
  if (failed.length === 0) return console.log(`chaos: passed ${runs} of ${runs}`);
  console.log(`chaos: failed with seed ${failed.join(', ')}`);
  process.exitCode = 1;
});
