// What goes wrong with a Sentinel set. Kinds and times follow from the generator that each function gets.

import { away, frozen, killed } from './faults.mjs';

/** Often one of the sentinels is away too; the other two are enough for a failover. */
async function withoutOneSentinel({ sentinels }, random, fault) {
  const sentinel = random.pick(sentinels);
  const own = random.pick([killed, frozen, undefined]);
  await Promise.all([fault, own?.(sentinel, random)]);
}

export const sentinelFaults = {
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
