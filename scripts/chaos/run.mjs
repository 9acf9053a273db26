import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { disturbConsumer, disturbServer, restartConsumer } from './faults.mjs';
import { RestartableProcess } from './processes.mjs';
import { createRandom } from './random.mjs';
import { consumers, PUBLISHERS } from './scenario.mjs';
import { createServerProcess } from './server.mjs';
import { unfinished, verify } from './verification.mjs';

const READY_LIMIT_MS = 30_000;
/** How long everything may take to come to rest after the last fault. */
const QUIET_LIMIT_MS = 60_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * One run: publishers and consumers at work while things go wrong, then rest, then the verification.
 * With `restarts` the consumers are killed so many times each, and nothing else happens.
 *
 * @returns {Promise<{ problems: string[], summary: object, folder: string }>}
 */
export async function runChaos({ seed, seconds, restarts }) {
  const random = createRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-chaos-'));
  const server = await createServerProcess(join(folder, 'redis'));
  const { url } = server;
  const program = (module, name, params) =>
    new RestartableProcess(module, name, { url, ...params }, createRandom(random.seed()), folder);
  const consuming = consumers.map((group, index) =>
    program('./consumer.mjs', `consumer-${index + 1}`, { group }),
  );
  const publishing = Array.from({ length: PUBLISHERS }, (_, index) =>
    program('./publisher.mjs', `publisher-${index + 1}`, {}),
  );
  const workers = [...consuming, ...publishing];
  for (const worker of workers) worker.start();
  await within(READY_LIMIT_MS, Promise.all(workers.map((worker) => worker.ready())));

  const serverKills = await disturb({ server, consuming, random, seconds, restarts });
  await Promise.all(publishing.map((worker) => worker.stop()));

  const redis = new Redis(url);
  const problems = [];
  if (!(await untilQuiet(redis, workers))) problems.push('the groups did not come to rest');
  await Promise.all(consuming.map((worker) => worker.stop()));
  const verified = await verify(
    redis,
    workers.flatMap(({ journals }) => journals),
  );
  problems.push(...workers.flatMap((worker) => worker.problems), ...verified.problems);
  redis.disconnect();
  await server.kill();
  if (problems.length === 0) rmSync(folder, { recursive: true, force: true });
  return {
    problems,
    summary: {
      ...verified.summary,
      kills: consuming.reduce((total, { kills }) => total + kills, 0),
      freezes: consuming.reduce((total, { freezes }) => total + freezes, 0),
      serverKills,
    },
    folder,
  };
}

async function disturb({ server, consuming, random, seconds, restarts }) {
  const generators = consuming.map(() => createRandom(random.seed()));
  if (restarts > 0) {
    await Promise.all(
      consuming.map((worker, index) => restartConsumer(worker, generators[index], restarts)),
    );
    return 0;
  }
  const end = Date.now() + seconds * 1000;
  const isOver = () => Date.now() > end;
  const [serverKills] = await Promise.all([
    disturbServer(server, createRandom(random.seed()), isOver),
    ...consuming.map((worker, index) => disturbConsumer(worker, generators[index], isOver)),
  ]);
  return serverKills;
}

async function untilQuiet(redis, workers) {
  const deadline = Date.now() + QUIET_LIMIT_MS;
  while ((await unfinished(redis)).length > 0) {
    // Without its consumers no group comes to rest.
    if (Date.now() > deadline || workers.some(({ problems }) => problems.length > 0)) return false;
    await pause(100);
  }
  return true;
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
