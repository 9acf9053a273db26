// `npm run chaos -- [--seed n] [--seconds 60] [--runs 1] [--restarts n] [--topology sentinel|cluster]`:
// publishers and consumers in processes of their own, while consumers are killed, frozen and deployed and the server is
// killed, at moments that follow from the seed. Fails when the account of a group on a stream does not balance: what it
// has handled, its dead letters, and what it was told to have lost are together what the server has accepted, and no
// entry is handled and dead.
// With --topology sentinel there are a master, two replicas and three sentinels instead of one server: masters are
// killed, frozen and failed over, and sentinels are killed and frozen. Nothing is lost then that all replicas had when
// its publish resolved; what is lost of the rest is told. With --topology cluster there are three masters with a replica
// each, of which the same holds, and the slots of all streams are moved.
// With --restarts every consumer is killed so many times in quick succession, and nothing else happens.
// OXBUS_BEFORE names a checkout of another build, built there, of which half of the processes then are.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { prepare, SetupError, script } from './prepare.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    runs: { type: 'string', default: '1' },
    restarts: { type: 'string', default: '0' },
    topology: { type: 'string', default: 'standalone' },
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
  const { topology } = values;
  if (!['standalone', 'sentinel', 'cluster'].includes(topology)) {
    throw new SetupError(`--topology is standalone, sentinel or cluster, not ${topology}`);
  }
  if (topology !== 'standalone' && (restarts > 0 || process.env.OXBUS_BEFORE)) {
    throw new SetupError('--restarts and OXBUS_BEFORE are for one server only');
  }
  const first = values.seed === undefined ? randomInt(2 ** 31) : number('seed', 0);
  prepare();
  const { resolvedInWords, runSeeds } = await import('./chaos/seeds.mjs');
  const run = await runSeeds({ seed: first, runs, seconds, restarts, topology });
  const { failed } = run;
  if (runs > 1) console.log(`all accounts: ${JSON.stringify(run.total)}`);
  if (runs > 1 && topology !== 'standalone') console.log(resolvedInWords(run.resolved));
  if (failed.length === 0) return console.log(`chaos: passed ${runs} of ${runs}`);
  console.log(`chaos: failed with seed ${failed.join(', ')}`);
  process.exitCode = 1;
});
