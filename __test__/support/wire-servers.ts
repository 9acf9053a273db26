/** What tests of wires run on: one server, and a Cluster of three masters. */

import { Cluster, Redis } from 'ioredis';
import type { RedisConfig } from '../..';
import { ClusterSet } from './cluster-set';
import { RedisServer } from './redis-server';

/** Servers of one kind, for all tests of a file. */
export interface WireServers {
  /** How a client of Oxbus is given them. */
  readonly redis: string | RedisConfig;
  /** Starts them. */
  start(): Promise<void>;
  /** A client for commands, which goes to the node of its keys. */
  commands(): Redis | Cluster;
  /** A client of one node. Where there are several, a message comes to each of them. */
  subscriber(): Redis;
  /** Cuts what all nodes have with subscribers. */
  cutSubscribers(): Promise<void>;
  /** How many connections wait in a stream without a group. */
  readers(): Promise<number>;
  /** Cuts all connections that wait in a stream without a group. Resolves to how many there were. */
  cutReaders(): Promise<number>;
  /** Empties all nodes. */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

class OneServer implements WireServers {
  #server: RedisServer | undefined;

  get #running(): RedisServer {
    if (this.#server === undefined) throw new Error('the server is there while tests run');
    return this.#server;
  }

  get redis(): string {
    return this.#running.url;
  }

  async start(): Promise<void> {
    this.#server = await RedisServer.start();
  }

  commands(): Redis {
    return new Redis(this.#running.port, '127.0.0.1');
  }

  subscriber(): Redis {
    return this.commands();
  }

  async cutSubscribers(): Promise<void> {
    await this.#running.command('CLIENT KILL TYPE pubsub');
  }

  readers(): Promise<number> {
    return readersOf(this.#running, false);
  }

  cutReaders(): Promise<number> {
    return readersOf(this.#running, true);
  }

  async empty(): Promise<void> {
    await this.#running.command('FLUSHALL');
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }
}

class OneCluster implements WireServers {
  #set: ClusterSet | undefined;

  get #running(): ClusterSet {
    if (this.#set === undefined) throw new Error('the Cluster is there while tests run');
    return this.#set;
  }

  get redis(): RedisConfig {
    return { cluster: { nodes: this.#running.addresses } };
  }

  async start(): Promise<void> {
    this.#set = await ClusterSet.start();
  }

  commands(): Cluster {
    return new Cluster(this.#running.nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
  }

  subscriber(): Redis {
    return new Redis(this.#running.nodes[0]?.port ?? 0, '127.0.0.1');
  }

  async cutSubscribers(): Promise<void> {
    for (const node of this.#running.nodes) await node.command('CLIENT KILL TYPE pubsub');
  }

  readers(): Promise<number> {
    return this.#readers(false);
  }

  cutReaders(): Promise<number> {
    return this.#readers(true);
  }

  async #readers(cut: boolean): Promise<number> {
    const found = await Promise.all(this.#running.nodes.map((node) => readersOf(node, cut)));
    return found.reduce((sum, count) => sum + count, 0);
  }

  async empty(): Promise<void> {
    for (const node of this.#running.nodes) await node.command('FLUSHALL');
  }

  async stop(): Promise<void> {
    await this.#set?.stop();
  }
}

async function readersOf(node: RedisServer, cut: boolean): Promise<number> {
  const redis = new Redis(node.port, '127.0.0.1');
  const clients = (await redis.client('LIST')) as string;
  const readers = [...clients.matchAll(/^id=(\d+) .* cmd=xread /gm)];
  for (const [, id = ''] of cut ? readers : []) await redis.client('KILL', 'ID', id);
  redis.disconnect();
  return readers.length;
}

/** The kinds, for `describe.each`. */
export const wireServers: [string, () => WireServers][] = [
  ['one server', () => new OneServer()],
  ['a Cluster of three masters', () => new OneCluster()],
];
