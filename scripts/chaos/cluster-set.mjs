import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from 'ioredis';
import { clusterFaults } from './cluster-faults.mjs';
import { createServer, persistent } from './server.mjs';
import { until } from './waiting.mjs';

const [MASTERS, SLOTS] = [3, 16_384];
const NODE_TIMEOUT_MS = 1500;
const SETTLE_LIMIT_MS = 60_000;
const [KEYS_AT_ONCE, MIGRATE_LIMIT_MS] = [100, 5000];

/** `CLUSTER NODES` of a node: what it knows of each, by the ids. Undefined when it does not answer. */
async function viewOf(server) {
  const text = await server.ask('CLUSTER', 'NODES');
  if (text === undefined) return undefined;
  const view = { nodes: {} };
  for (const line of text.trim().split('\n')) {
    const [id, , flags, master, , , epoch, , ...slots] = line.split(' ');
    const has = (flag) => flags.split(',').includes(flag);
    if (has('myself')) view.own = id;
    view.nodes[id] = {
      ...{ master, epoch: Number(epoch), slots: slots.filter((slot) => !slot.startsWith('[')) },
      isMoving: slots.some((slot) => slot.startsWith('[')),
      isWell: !['fail', 'fail?', 'handshake', 'noaddr'].some(has),
    };
  }
  return view;
}

const includes = (slots, slot) =>
  slots.some((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return first <= slot && slot <= last;
  });

/** What all nodes have to agree on. */
const facts = ({ nodes }) =>
  JSON.stringify(
    Object.entries(nodes)
      .map(([id, { master, slots }]) => [id, master, slots])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

/**
 * Three masters with a replica each, for which a node that is silent for 1.5 s has failed.
 *
 * @param options how many replicas a master has, and the settings of a node
 */
export async function createClusterSet(folder, { replicas = 1, settings: own = persistent } = {}) {
  mkdirSync(folder);
  const settings = {
    ...{ 'cluster-enabled': 'yes', 'cluster-node-timeout': NODE_TIMEOUT_MS },
    ...{ 'cluster-replica-validity-factor': 0, 'repl-diskless-sync-delay': 0 },
    ...own,
  };
  const count = MASTERS * (1 + replicas);
  const servers = await Promise.all(
    Array.from({ length: count }, (_, at) =>
      createServer(join(folder, `node-${at + 1}`), settings),
    ),
  );
  const ids = await Promise.all(servers.map((server) => server.ask('CLUSTER', 'MYID')));
  const idOf = (server) => ids[servers.indexOf(server)];

  /** Asks until the server agrees. */
  const insist = (server, ...command) =>
    until(
      SETTLE_LIMIT_MS,
      command.slice(0, 4).join(' '),
      async () => (await server.ask(...command)) === 'OK',
    );

  /** What the nodes that answer say. */
  async function views() {
    const all = await Promise.all(
      servers.map(async (server) => ({ server, view: await viewOf(server) })),
    );
    return all.filter(({ view }) => view !== undefined);
  }

  async function agree() {
    const all = await views();
    const isQuiet = ({ view }) =>
      Object.values(view.nodes).length === count &&
      Object.values(view.nodes).every(({ isWell, isMoving }) => isWell && !isMoving);
    if (all.length < count || !all.every(isQuiet)) return false;
    if (new Set(all.map(({ view }) => facts(view))).size > 1) return false;
    const infos = await Promise.all(servers.map((server) => server.ask('CLUSTER', 'INFO')));
    return infos.every((info) => info?.includes('cluster_state:ok'));
  }

  const slotOf = (key) => servers[0].ask('CLUSTER', 'KEYSLOT', key);

  async function masterOfSlot(slot) {
    const serves = ({ view }) => includes(view.nodes[view.own].slots, slot);
    return (await views()).find(serves)?.server;
  }

  /** Waits until the replicas of a master have confirmed what it has now. */
  async function isCopied(master) {
    const read = async () => (await master.ask('INFO', 'replication')) ?? '';
    const offset = Number((await read()).match(/master_repl_offset:(\d+)/)?.[1]);
    await until(SETTLE_LIMIT_MS, 'replicas that have what their master has', async () => {
      const confirmed = [...(await read()).matchAll(/state=online,offset=(\d+)/g)];
      return confirmed.filter(([, own]) => Number(own) >= offset).length === replicas;
    });
  }

  const set = {
    servers,
    replicas,
    faults: clusterFaults,
    redis: { cluster: { nodes: servers.map(({ address }) => address) } },
    /** All keys of a stream are in its slot. */
    deadLettersOf: (stream) => `{${stream}}:dlq`,
    async masters() {
      return (await views())
        .filter(({ view }) => view.nodes[view.own].slots.length > 0)
        .map(({ server }) => server);
    },
    /** The replica of a master. */
    async replicaOf(master) {
      const found = (await views()).find(
        ({ view }) => view.nodes[view.own].master === idOf(master),
      );
      return found?.server;
    },
    /** Resolves when all runs, all agree, and all replicas have what their masters have. */
    async settled() {
      await until(SETTLE_LIMIT_MS, 'a Cluster that has come to rest', agree);
      await Promise.all((await set.masters()).map(isCopied));
    },
    /** Makes a replica the master by command. */
    async failOver(replica) {
      await until(SETTLE_LIMIT_MS, 'a failover by command', async () => {
        await replica.ask('CLUSTER', 'FAILOVER');
        const deadline = Date.now() + 6000;
        const isMaster = async () => (await replica.ask('ROLE'))?.[0] === 'master';
        while (!(await isMaster())) if (Date.now() > deadline) return false;
        return true;
      });
    },
    /** The master that serves the slot of a key. */
    masterOf: async (key) => masterOfSlot(await slotOf(key)),
    /** Moves the slot of a key to a master, key by key, or at once where the servers can and it is asked for. */
    async moveSlotOf(key, to, atOnce) {
      const slot = await slotOf(key);
      const from = await masterOfSlot(slot);
      if (from === undefined || from === to) return;
      const canMoveAtOnce = (await from.ask('CLUSTER', 'GETSLOTMIGRATIONS')) !== undefined;
      if (atOnce && canMoveAtOnce) {
        await insist(from, 'CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', slot, slot, 'NODE', idOf(to));
        await until(SETTLE_LIMIT_MS, 'a slot that has moved', async () => {
          const view = await viewOf(to);
          return view !== undefined && includes(view.nodes[view.own].slots, slot);
        });
        return;
      }
      const setSlot = (server, ...state) => insist(server, 'CLUSTER', 'SETSLOT', slot, ...state);
      await setSlot(to, 'IMPORTING', idOf(from));
      await setSlot(from, 'MIGRATING', idOf(to));
      for (;;) {
        const keys = await from.ask('CLUSTER', 'GETKEYSINSLOT', slot, KEYS_AT_ONCE);
        if (keys?.length === 0) break;
        const target = ['127.0.0.1', to.port, '', 0, MIGRATE_LIMIT_MS];
        if (keys !== undefined) await from.ask('MIGRATE', ...target, 'KEYS', ...keys);
      }
      await setSlot(to, 'NODE', idOf(to));
      // These hear of it from the new master, too.
      for (const server of [from, ...(await set.masters())]) {
        await server.ask('CLUSTER', 'SETSLOT', slot, 'NODE', idOf(to));
      }
    },
    async connection() {
      await set.settled();
      return new Cluster(servers.map(({ port }) => ({ host: '127.0.0.1', port })));
    },
    end: () => Promise.all(servers.map((server) => server.kill())),
  };

  for (const [at, server] of servers.entries()) {
    await insist(server, 'CLUSTER', 'SET-CONFIG-EPOCH', at + 1);
    for (const other of servers.slice(0, at)) {
      await insist(server, 'CLUSTER', 'MEET', '127.0.0.1', other.port);
    }
    if (at >= MASTERS) continue;
    const [first, last] = [at, at + 1].map((share) => Math.floor((share * SLOTS) / MASTERS));
    const slots = Array.from({ length: last - first }, (_, slot) => first + slot);
    await insist(server, 'CLUSTER', 'ADDSLOTS', ...slots);
  }
  for (const [at, server] of servers.entries()) {
    if (at >= MASTERS) await insist(server, 'CLUSTER', 'REPLICATE', ids[at % MASTERS]);
  }
  await set.settled();
  return set;
}
