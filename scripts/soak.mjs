// `npm run soak -- [--runs 20] [--seconds 60] [--restarts 50] [--starts 100] [--minutes 5] [--texts 1000000] [--seed n]`: so many
// chaos runs on each server, one in which consumers are only killed, a worker with ten subscriptions that is killed or closed
// while it starts, so many times, also in memory, a publisher and a subscriber whose connections are cut for some minutes, and
// so many random texts of JSON, of which handlers must get what JSON.parse makes of them (all in memory, and one in twenty on
// each server). A number of 0 leaves a part out. It prints the sums of all accounts, and fails when anything of it fails.
// OXBUS_SOAK_SERVERS names the servers, separated as in PATH: programs, or names of scripts/servers/catalog.mjs; default:
// the one that tests use.

import { delimiter } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare, SetupError, script } from './prepare.mjs';
import { ensureRedisServer } from './redis.mjs';
import { servers as catalog } from './servers/catalog.mjs';
import { fetchServer } from './servers/fetch.mjs';

/** The program of a server that is given as a path, or by its name in the catalog. */
function programOf(server) {
  const known = catalog.find(({ name }) => name === server);
  return known ? fetchServer(known) : server;
}

const defaults = {
  runs: '20',
  seconds: '60',
  restarts: '50',
  starts: '100',
  minutes: '5',
  texts: '1000000',
  seed: '1',
};
const options = Object.fromEntries(
  Object.entries(defaults).map(([name, value]) => [name, { type: 'string', default: value }]),
);
const { values } = parseArgs({ options });

function number(name) {
  const value = Number(values[name]);
  if (values[name] !== '' && value >= 0) return value;
  throw new SetupError(`--${name} is not a number of at least 0: ${values[name]}`);
}

await script('soak', async () => {
  const [runs, seconds, restarts, starts, minutes, texts, seed] = Object.keys(defaults).map(number);
  const named = process.env.OXBUS_SOAK_SERVERS;
  const servers = named ? named.split(delimiter).map(programOf) : [ensureRedisServer()];
  prepare();
  const { runSeeds } = await import('./chaos/seeds.mjs');
  const { soakConnections } = await import('./soak/connections.mjs');
  const { soakDecoding } = await import('./soak/decoding/compare.mjs');
  const { soakStarts } = await import('./soak/starts.mjs');

  const failures = [];
  const sums = [];
  const startSums = [];
  const decodingSums = [];
  const start = async (transport, server) => {
    const { problems, sums } = await soakStarts({ transport, starts, seed });
    startSums.push({ server, ...sums });
    failures.push(...problems.map((problem) => `${server}: ${problem}`));
  };
  const decode = async (transport, server, texts) => {
    const { problems, sums } = await soakDecoding({ transport, texts, seed });
    decodingSums.push({ server, ...sums });
    failures.push(
      ...problems.map((problem) => `${server}: decoding with seed ${seed}: ${problem}`),
    );
  };
  for (const server of servers) {
    process.env.OXBUS_REDIS_SERVER = server;
    console.log(`server ${server}`);
    const { failed, total } = await runSeeds({ seed, runs, seconds, restarts: 0 });
    sums.push({ server, runs, ...total });
    failures.push(...failed.map((one) => `${server}: chaos with seed ${one}`));
    if (restarts > 0) {
      const restarted = await runSeeds({ seed, runs: 1, seconds, restarts });
      failures.push(...restarted.failed.map((one) => `${server}: restarts with seed ${one}`));
    }
    if (starts > 0) await start('redis', server);
    if (texts > 0) await decode('redis', server, Math.ceil(texts / 20));
    if (minutes > 0) {
      const problems = await soakConnections(minutes);
      failures.push(...problems.map((problem) => `${server}: ${problem}`));
    }
  }
  if (starts > 0) await start('memory', 'in memory');
  if (texts > 0) await decode('memory', 'in memory', texts);
  console.table(sums);
  console.table(startSums);
  console.table(decodingSums);
  for (const failure of failures) console.error(`soak: ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
  else console.log('soak: passed');
});
