import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClusterSet } from './cluster-set.mjs';
import { RestartableProcess } from './processes.mjs';
import { createRandom } from './random.mjs';
import { createSentinelSet } from './sentinel-set.mjs';
import { createSingleServer } from './server.mjs';
import { calm, failover, rough } from './settings.mjs';
import { unfinished, verify } from './verification.mjs';
import { pause } from './waiting.mjs';

const READY_LIMIT_MS = 30_000;
/** How long everything may take to come to rest after the last fault. */
const QUIET_LIMIT_MS = 60_000;

const topologies = {
  standalone: createSingleServer,
  sentinel: createSentinelSet,
  cluster: createClusterSet,
};

/**
 * One run: publishers and consumers at work while things go wrong, then rest, then the verification. With `restarts`
 * the consumers of the rough setting are killed so many times each, and nothing else happens.
 *
 * @returns {Promise<{ problems: string[], accounts: object[], summary: object, resolved: object[], folder: string }>}
 */
export async function runChaos({ seed, seconds, restarts, topology }) {
  const random = createRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-chaos-'));
  // Each setting has a generator of its own: what it does does not depend on how far the other one is.
  const generators = Object.fromEntries(
    ['rough', 'calm', 'failover'].map((name) => [name, createRandom(random.seed())]),
  );
  const names = namesOf(topology, restarts);
  const results = await Promise.all(
    names.map((name) =>
      runSetting({ name, random: generators[name], folder, seconds, restarts, topology }),
    ),
  );
  const problems = results.flatMap((result) => result.problems);
  if (problems.length === 0) rmSync(folder, { recursive: true, force: true });
  return {
    problems,
    accounts: results.flatMap(({ accounts }) => accounts),
    resolved: results.flatMap(({ resolved }) => resolved ?? []),
    summary: Object.fromEntries(results.map(({ summary }, index) => [names[index], summary])),
    folder,
  };
}

function namesOf(topology, restarts) {
  if (topology !== 'standalone') return ['failover'];
  return restarts > 0 ? ['rough'] : ['rough', 'calm'];
}

async function runSetting({ name, random, folder, seconds, restarts, topology }) {
  const server = await topologies[topology](join(folder, `redis-${name}`));
  const program = (module, called, params) => {
    const all = { setting: name, redis: server.redis, replicas: server.replicas, ...params };
    return new RestartableProcess(module, called, all, createRandom(random.seed()), folder);
  };
  const make = { rough, calm, failover }[name];
  const setting = make({ server, program, random, seconds, restarts });
  const { consumers, publishers } = setting;
  await within(READY_LIMIT_MS, setting.begin());

  const counts = await setting.disturb();
  await Promise.all(publishers.map((worker) => worker.stop()));

  const workers = [...consumers, ...publishers];
  const journals = () => workers.flatMap((worker) => worker.journals);
  const redis = await server.connection();
  const verified = () =>
    verify({
      ...{ redis, setting: name, journals: journals() },
      deadLettersOf: server.deadLettersOf ?? ((stream) => `${stream}:dlq`),
    });
  const problems = [];
  if (!(await untilQuiet({ redis, name, verified, workers }))) {
    problems.push('the groups did not come to rest');
  }
  await Promise.all(consumers.map((worker) => worker.stop()));
  const found = await verified();
  problems.push(...workers.flatMap((worker) => worker.problems), ...found.problems);
  redis.disconnect();
  await server.end();
  const sum = (key) => consumers.reduce((total, worker) => total + worker[key], 0);
  return {
    problems: problems.map((text) => `${name}: ${text}`),
    accounts: found.accounts,
    resolved: found.resolved,
    summary: {
      ...found.summary,
      ...{ kills: sum('kills'), freezes: sum('freezes'), stops: sum('stops') },
      ...counts,
    },
  };
}

/** Whether all is read and settled, and the sums agree: what a group takes up again is not pending yet. */
async function untilQuiet({ redis, name, verified, workers }) {
  const deadline = Date.now() + QUIET_LIMIT_MS;
  for (;;) {
    if ((await unfinished(redis, name)).length === 0) {
      const { accounts } = await verified();
      if (accounts.every(({ balance }) => balance === 0)) return true;
    }
    // Without its consumers no group comes to rest.
    if (Date.now() > deadline || workers.some(({ problems }) => problems.length > 0)) return false;
    await pause(200);
  }
}

async function within(ms, promise) {
  let limit;
  const late = new Promise((_, reject) => {
    limit = setTimeout(() => reject(new Error(`not ready after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(limit);
  }
}
