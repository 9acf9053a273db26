// What goes wrong with a Cluster. Kinds and times follow from the generator that each function gets.

import { frozen, killed } from './faults.mjs';
import { settings } from './scenario.mjs';

export const clusterFaults = {
  async masterKilled(set, random) {
    await killed(random.pick(await set.masters()), random);
  },
  async masterFrozen(set, random) {
    await frozen(random.pick(await set.masters()), random);
  },
  async failoverByCommand(set, random) {
    await set.failOver(await set.replicaOf(random.pick(await set.masters())));
  },
  async replicaAway(set, random) {
    const replica = await set.replicaOf(random.pick(await set.masters()));
    await random.pick([killed, frozen])(replica, random);
  },
  /** The slots of all streams, one after the other. */
  async slotsMoved(set, random) {
    const masters = await set.masters();
    const atOnce = random.chance(0.5);
    for (const { name } of settings.failover.streams) {
      await set.moveSlotOf(name, random.pick(masters), atOnce);
    }
  },
};
