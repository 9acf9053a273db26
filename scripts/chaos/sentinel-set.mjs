import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { flat } from './entries.mjs';
import { sentinelFaults } from './sentinel-faults.mjs';
import { createServer, persistent } from './server.mjs';
import { until } from './waiting.mjs';

const NAME = 'mymaster';
const [REPLICAS, SENTINELS, QUORUM] = [2, 3, 2];
/** Sentinels make a replica of an old master some ten seconds after a failover, and one that stood still waits for 30 s. */
const SETTLE_LIMIT_MS = 90_000;

/** A master, two replicas and three sentinels, for which a server that is silent for a second is down. */
export async function createSentinelSet(folder) {
  mkdirSync(folder);
  const ofServer = { ...persistent, 'repl-diskless-sync-delay': 0 };
  const servers = [await createServer(join(folder, 'server-1'), ofServer)];
  const master = servers[0].port;
  for (let at = 2; at <= 1 + REPLICAS; at += 1) {
    const settings = { ...ofServer, replicaof: `127.0.0.1 ${master}` };
    servers.push(await createServer(join(folder, `server-${at}`), settings));
  }
  const sentinels = [];
  for (let at = 1; at <= SENTINELS; at += 1) {
    const sentinel = [
      `monitor ${NAME} 127.0.0.1 ${master} ${QUORUM}`,
      `down-after-milliseconds ${NAME} 1000`,
      `failover-timeout ${NAME} 3000`,
      `parallel-syncs ${NAME} ${REPLICAS}`,
    ];
    const settings = { sentinel };
    sentinels.push(
      await createServer(join(folder, `sentinel-${at}`), settings, { asSentinel: true }),
    );
  }

  /** What a sentinel knows of the master; empty when it does not answer. */
  const seenBy = async (sentinel) => flat((await sentinel.ask('SENTINEL', 'MASTER', NAME)) ?? []);

  /** The port of the master, if all sentinels name the same and know all others, and no failover goes on. */
  async function agreed() {
    const seen = await Promise.all(sentinels.map(seenBy));
    const [{ port }] = seen;
    const isQuiet = (one) =>
      one.flags === 'master' &&
      one.port === port &&
      Number(one['num-slaves']) === REPLICAS &&
      Number(one['num-other-sentinels']) === SENTINELS - 1;
    return seen.every(isQuiet) ? Number(port) : undefined;
  }

  /** Whether a server is the master of all others, or follows it. */
  async function isInPlace(server, port) {
    const info = (await server.ask('INFO', 'replication')) ?? '';
    const has = (...lines) => lines.every((line) => info.includes(`${line}\r\n`));
    if (server.port !== port) return has(`master_port:${port}`, 'master_link_status:up');
    return has('role:master') && info.match(/state=online/g)?.length === REPLICAS;
  }

  const set = {
    servers,
    sentinels,
    /** How many replicas cover all. */
    replicas: REPLICAS,
    faults: sentinelFaults,
    redis: { sentinel: { name: NAME, nodes: sentinels.map(({ address }) => address) } },
    async master() {
      const port = await until(SETTLE_LIMIT_MS, 'sentinels that agree on a master', agreed);
      return servers.find((server) => server.port === port);
    },
    /** Resolves when all runs, all sentinels agree, and all replicas have what the master has. */
    settled: () =>
      until(SETTLE_LIMIT_MS, 'a Sentinel set that has come to rest', async () => {
        const port = await agreed();
        if (port === undefined) return false;
        const inPlace = await Promise.all(servers.map((server) => isInPlace(server, port)));
        return inPlace.every(Boolean);
      }),
    failOver: () =>
      until(SETTLE_LIMIT_MS, 'a sentinel that agrees to a failover', async () => {
        const running = sentinels.filter(({ runs }) => runs);
        return (await running[0].ask('SENTINEL', 'FAILOVER', NAME)) === 'OK';
      }),
    async connection() {
      await set.settled();
      return new Redis((await set.master()).port);
    },
    end: () => Promise.all([...sentinels, ...servers].map((server) => server.kill())),
  };
  await set.settled();
  return set;
}
