// What goes wrong with a Sentinel set. Kinds and times follow from the generator that each function gets.

import { pause } from './waiting.mjs';

/** Shorter and longer than sentinels wait until they take a server for down. */
const away = (random) => pause(random.between(200, 5000));

async function killed(server, random) {
  await server.kill();
  await away(random);
  await server.start();
}

async function frozen(server, random) {
  server.freeze();
  await away(random);
  server.thaw();
}

/** Often one of the sentinels is away too; the other two are enough for a failover. */
async function withoutOneSentinel({ sentinels }, random, fault) {
  const sentinel = random.pick(sentinels);
  const own = random.pick([killed, frozen, undefined]);
  await Promise.all([fault, own?.(sentinel, random)]);
}

const faults = {
  async masterKilled(set, random) {
    await withoutOneSentinel(set, random, killed(await set.master(), random));
  },
  async masterFrozen(set, random) {
    await withoutOneSentinel(set, random, frozen(await set.master(), random));
  },
  async failoverByCommand(set, random) {
    await withoutOneSentinel(set, random, set.failOver());
  },
  async replicaAway(set, random) {
    const master = await set.master();
    const replica = random.pick(set.servers.filter((server) => server !== master));
    await random.pick([killed, frozen])(replica, random);
  },
  /** Nobody fails over then, and clients whose connections end find their master by the one that is left. */
  async oneSentinelLeft(set, random) {
    const master = await set.master();
    const gone = random.shuffled(set.sentinels).slice(1);
    await Promise.all(gone.map((sentinel) => sentinel.kill()));
    for (const kind of ['normal', 'pubsub']) await master.ask('CLIENT', 'KILL', 'TYPE', kind);
    await away(random);
    await Promise.all(gone.map((sentinel) => sentinel.start()));
  },
};

/** One fault after the other, each when the set has recovered from the one before. @returns how often each came */
export async function disturbSentinelSet(set, random, isOver) {
  const counts = {};
  let next = [];
  for (;;) {
    await pause(random.between(500, 2500));
    if (isOver()) return counts;
    if (next.length === 0) next = random.shuffled(Object.keys(faults));
    const name = next.pop();
    counts[name] = (counts[name] ?? 0) + 1;
    await faults[name](set, random);
    await set.settled();
  }
}
