import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClusterSet } from '../../scripts/chaos/cluster-set.mjs';
import { freshName, withRedis } from './backlog.mjs';

/** Nothing is stored, a subscriber may be owed any amount, and a node that is busy for long has not failed. */
const settings = {
  ...{ save: '""', appendonly: 'no', 'client-output-buffer-limit': 'pubsub 0 0 0' },
  'cluster-node-timeout': 15_000,
};

const urlOf = ({ address }) => `redis://${address}`;

/** A Cluster of our own: three masters on loopback, on free ports. */
export async function startCluster() {
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-bench-cluster-'));
  const set = await createClusterSet(join(folder, 'nodes'), { replicas: 0, settings });
  const masters = set.servers.map((server) => ({ port: server.port, url: urlOf(server), server }));
  const masterOf = async (key) => {
    const server = await set.masterOf(key);
    return masters.find((master) => master.server === server);
  };

  return {
    masters,
    nodes: set.servers.map(({ address }) => address),
    masterOf,
    /**
     * Names of streams that no run before had, so many on each master, and what their events are called.
     * `master` is where they are now.
     */
    async freshStreams(onEach) {
      const free = new Map(masters.map((master) => [master, onEach]));
      const streams = [];
      while (streams.length < masters.length * onEach) {
        const name = freshName();
        const master = await masterOf(name);
        const left = free.get(master);
        if (left === 0) continue;
        free.set(master, left - 1);
        const word = `s${streams.length}`;
        streams.push({ name, events: `bench.${word}.*`, type: `bench.${word}.shipped`, master });
      }
      return streams;
    },
    /** Moves the slot of a stream to the master behind the one that has it. */
    async moveOn({ name }) {
      const at = masters.indexOf(await masterOf(name));
      await set.moveSlotOf(name, masters[(at + 1) % masters.length].server, false);
    },
    settled: () => set.settled(),
    async empty() {
      await Promise.all(masters.map((master) => withRedis(master, (client) => client.flushall())));
    },
    /** Ends all nodes. */
    async stop() {
      await set.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
