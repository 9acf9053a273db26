// The faults of a run. Their kinds and times follow from the generator that each function gets.

import { withBefore } from './build.mjs';
import { kinds } from './scenario.mjs';
import { pause } from './waiting.mjs';

/** With another build at hand, half of the processes are of that one: upgrades and downgrades while events flow. */
export const someBuild = (random) => ({
  build: withBefore && random.chance(0.5) ? 'before' : 'this',
});

/** Kills and freezes a consumer, often for longer than its lease. */
export async function disturbConsumer(worker, random, isOver) {
  for (;;) {
    await pause(random.between(300, 4000));
    if (isOver()) return;
    if (random.chance(0.5)) {
      await worker.kill();
      await pause(random.between(0, 1000));
      worker.start(someBuild(random));
    } else {
      worker.freeze();
      await pause(random.between(200, 5000));
      worker.thaw();
    }
  }
}

/** Kills the server and starts it again. @returns how often */
export async function disturbServer(server, random, isOver) {
  for (let kills = 0; ; kills += 1) {
    await pause(random.between(2000, 10_000));
    if (isOver()) return kills;
    await server.kill();
    await pause(random.between(0, 2500));
    await server.start();
  }
}

/** Kills a consumer so many times, some of them before it has subscribed. */
export async function restartConsumer(worker, random, times) {
  for (let turn = 0; turn < times; turn += 1) {
    await pause(random.between(100, 1200));
    await worker.kill();
    worker.start(someBuild(random));
  }
}

/**
 * A service that comes late, is scaled to zero again and again, and knows more kinds of events each time: its group
 * waits for its first subscription, has no member for a while, and reads past what a later version wants.
 */
export async function growService(worker, random, isOver, seconds) {
  const most = seconds * 250;
  await pause(random.between(most / 4, most));
  for (let known = 1; ; known = Math.min(kinds.length, known + 1)) {
    worker.start({ known: kinds.slice(0, known) });
    await pause(random.between(500, most));
    if (isOver()) break;
    if (random.chance(0.5)) await worker.kill();
    else await worker.stop();
    await pause(random.between(0, most / 2));
  }
  await worker.stop();
  worker.start();
}

/** Deploys: each worker is stopped as a service is and started again, and sometimes all are away for a while. */
export async function deploy(workers, random, isOver) {
  for (;;) {
    await pause(random.between(500, 3000));
    if (isOver()) return;
    const chosen = random.chance(0.3) ? workers : [random.pick(workers)];
    await Promise.all(chosen.map((worker) => worker.stop()));
    await pause(random.between(0, 1500));
    for (const worker of chosen) worker.start();
  }
}

/** Shorter and longer than others wait until they take a server for down. */
export const away = (random) => pause(random.between(200, 5000));

export async function killed(server, random) {
  await server.kill();
  await away(random);
  await server.start();
}

export async function frozen(server, random) {
  server.freeze();
  await away(random);
  server.thaw();
}

/**
 * The faults of a set of servers, one after the other, each when the set has recovered from the one before.
 *
 * @returns how often each came
 */
export async function disturbSet(set, random, isOver) {
  const counts = {};
  let next = [];
  for (;;) {
    await pause(random.between(500, 2500));
    if (isOver()) return counts;
    if (next.length === 0) next = random.shuffled(Object.keys(set.faults));
    const name = next.pop();
    counts[name] = (counts[name] ?? 0) + 1;
    await set.faults[name](set, random);
    await set.settled();
  }
}
