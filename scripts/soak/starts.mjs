import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EventBusClient } from '../../index.js';
import { readJournal } from '../chaos/journal.mjs';
import { RestartableProcess } from '../chaos/processes.mjs';
import { createRandom } from '../chaos/random.mjs';
import { createSingleServer } from '../chaos/server.mjs';
import { clientOptions, GROUP, STREAM, subscribeAll, types } from './starting.mjs';

/** Events of each type that wait for the first start, and that come before each of the others. */
const BACKLOG = 50;
const MORE = 3;
/** A worker lives for so long at the most: less than it takes to subscribe, or some time more. */
const MAX_LIFE_MS = 1500;
const QUIET_LIMIT_MS = 60_000;

/**
 * A worker that subscribes to ten types, one after the other, is killed or closed at random moments and started again, so
 * many times, over a backlog of all ten. Each event must be handled or be a dead letter in the end.
 *
 * @returns {Promise<{ problems: string[], sums: object }>}
 */
export async function soakStarts({ transport, starts, seed }) {
  const random = createRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-starts-'));
  const setting = await { redis: overRedis, memory: inMemory }[transport](folder, random);
  const publisher = new EventBusClient(clientOptions(setting.transport));
  const published = new Set();
  const publish = async (count) => {
    const events = types.flatMap((type) =>
      Array.from({ length: count }, () => ({ type, data: 1 })),
    );
    for (const { eventId } of await Promise.all(
      events.map(({ type, data }) => publisher.publish(type, data)),
    )) {
      published.add(eventId);
    }
  };
  await publish(BACKLOG);
  let ready = 0;
  for (let start = 1; start < starts; start += 1) {
    const worker = await setting.start();
    const life = pause(random.between(0, MAX_LIFE_MS));
    await publish(MORE);
    await life;
    ready += worker.isReady() ? 1 : 0;
    await worker.end();
  }
  await setting.start();
  const dead = async () =>
    (await publisher.deadLetters.list({ limit: 1000 })).map(({ event }) => event.id);
  const missing = async () => {
    const settled = new Set([...setting.handled(), ...(await dead())]);
    return [...published].filter((id) => !settled.has(id));
  };
  const deadline = Date.now() + QUIET_LIMIT_MS;
  const isQuiet = async () => (await missing()).length === 0 && (await pendingOf(publisher)) === 0;
  while (!(await isQuiet()) && Date.now() < deadline) await pause(200);

  const handled = setting.handled();
  const distinct = new Set(handled);
  const lost = await missing();
  const letters = await dead();
  const both = letters.filter((id) => distinct.has(id));
  const sums = {
    ...{ transport, starts, ready, ...setting.counts() },
    ...{ published: published.size, handled: distinct.size, dead: letters.length },
    ...{
      lost: lost.length,
      pending: await pendingOf(publisher),
      twice: handled.length - distinct.size,
    },
  };
  await setting.stop();
  await publisher.disconnect();
  await setting.close();
  const problems = setting.problems();
  if (lost.length > 0)
    problems.push(`${lost.length} events were neither handled nor dead-lettered`);
  if (both.length > 0) problems.push(`${both.length} events were handled and are dead letters`);
  if (sums.pending > 0) problems.push(`${sums.pending} entries are pending in the end`);
  if (problems.length === 0) rmSync(folder, { recursive: true, force: true });
  return { problems: problems.map((problem) => `starts, ${transport}: ${problem}`), sums };
}

async function pendingOf(bus) {
  const { groups } = await bus.streams.info(STREAM);
  return groups.find(({ name }) => name === GROUP).pending;
}

/** Worker processes, half of which are killed, the others closed. */
async function overRedis(folder, random) {
  const server = await createSingleServer(join(folder, 'redis'));
  const seeds = createRandom(random.seed());
  const worker = new RestartableProcess(
    '../soak/worker.mjs',
    'worker',
    { url: server.redis },
    seeds,
    folder,
  );
  let ready = false;
  return {
    transport: { mode: 'redis', redis: server.redis },
    async start() {
      worker.start();
      ready = false;
      worker.ready().then((by) => {
        ready = by === undefined;
      });
      return {
        isReady: () => ready,
        end: () => (random.chance(0.5) ? worker.kill() : worker.stop()),
      };
    },
    handled: () =>
      worker.journals
        .flatMap(readJournal)
        .filter(({ kind }) => kind === 'handled')
        .map(({ id }) => id),
    counts: () => ({ killed: worker.kills, closed: worker.stops }),
    problems: () => [...worker.problems],
    stop: () => worker.stop(),
    close: () => server.kill(),
  };
}

/** Clients in this process, which are closed, as a process that is killed takes the broker with it. */
async function inMemory(_folder, random) {
  const transport = { mode: 'memory', memory: 'soak-starts' };
  const handled = [];
  const problems = [];
  let closed = 0;
  let bus;
  const end = async () => {
    await bus.disconnect();
    closed += 1;
  };
  return {
    transport,
    async start() {
      bus = new EventBusClient(clientOptions(transport));
      const own = bus;
      let [ready, ending] = [false, false];
      const handle = async ({ id }) => {
        await pause(random.between(0, 5));
        handled.push(id);
      };
      // In memory a subscription takes no time: the others come between the moments at which this one may end.
      const order = random.shuffled(types);
      const subscribing = (async () => {
        for (const type of order) {
          await subscribeAll(own, [type], handle);
          await pause(random.between(0, 100));
        }
        ready = true;
      })();
      subscribing.catch((error) => {
        if (!ending) problems.push(`a subscription failed: ${error.message}`);
      });
      return {
        isReady: () => ready,
        end: () => {
          ending = true;
          return end();
        },
      };
    },
    handled: () => [...handled],
    counts: () => ({ killed: 0, closed }),
    problems: () => [...problems],
    stop: end,
    close: async () => {},
  };
}
