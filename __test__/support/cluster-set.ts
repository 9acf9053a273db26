/** A Redis Cluster of three masters, with replicas if wanted; all real, and all on the loopback interface. */

import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { eventually } from './eventually';
import { RedisServer } from './redis-server';

const [MASTERS, SLOTS] = [3, 16_384];
const NODE_TIMEOUT_MS = 2000;
const SETTLE_LIMIT = 45_000;
/** Below the ports of outgoing connections, and so that the second port of a node, 10,000 above the first, is one. */
const [FIRST_PORT, PORTS, BUS_OFFSET] = [12_000, 10_000, 10_000];

export interface ClusterSettings {
  /** Of each master; default 0. */
  replicas?: number;
  /** What a node is started with besides, by its number and its port. */
  args?: (at: number, port: number) => string[];
  /** The port that a node tells of itself, by its number, if that is not its own one. */
  told?: (at: number) => number;
  /** The port for the other nodes, by its number, if that is not its own one. */
  met?: (at: number) => number;
}

/** What a node says of a node. */
interface Known {
  id: string;
  port: number;
  flags: string[];
  master: string;
  isConnected: boolean;
  slots: string[];
}

export class ClusterSet {
  /** The first three are the masters at the start; node `n` of the others is a replica of node `n % 3`. */
  readonly nodes: RedisServer[] = [];
  /** The ports of the nodes that they tell each other. */
  readonly #told: number[] = [];
  readonly #control = new Map<RedisServer, Redis>();
  readonly #killed = new Set<RedisServer>();

  /** Starts all nodes and resolves when all of them say the same. */
  static async start(settings: ClusterSettings = {}): Promise<ClusterSet> {
    const set = new ClusterSet();
    try {
      await set.#start(settings);
    } catch (error) {
      await set.stop();
      throw error;
    }
    return set;
  }

  async #start({ replicas = 0, args = () => [], told, met }: ClusterSettings): Promise<void> {
    for (let at = 0; at < MASTERS * (1 + replicas); at += 1) {
      const port = await nodePort();
      const own = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
      const ready = ['--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0'];
      this.nodes.push(await RedisServer.startOn(port, ...own, ...ready, ...args(at, port)));
    }
    const ports: number[] = [];
    for (const [at, node] of this.nodes.entries()) {
      await this.ask(node, 'CLUSTER', 'SET-CONFIG-EPOCH', String(at + 1));
      for (const port of ports) {
        await this.ask(node, 'CLUSTER', 'MEET', '127.0.0.1', String(port));
      }
      ports.push(met?.(at) ?? node.port);
      this.#told.push(told?.(at) ?? node.port);
      if (at >= MASTERS) continue;
      const [first = 0, last = 0] = [at, at + 1].map((n) => Math.floor((n * SLOTS) / MASTERS));
      const slots = Array.from({ length: last - first }, (_, n) => String(first + n));
      await this.ask(node, 'CLUSTER', 'ADDSLOTS', ...slots);
    }
    for (const [at, node] of this.nodes.entries()) {
      if (at < MASTERS) continue;
      const id = await this.idOf(this.nodes[at % MASTERS] as RedisServer);
      await eventually(() => this.ask(node, 'CLUSTER', 'REPLICATE', id), SETTLE_LIMIT);
    }
    await this.settled();
  }

  /** `127.0.0.1:port` of all nodes. */
  get addresses(): string[] {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** The reply of a node to a command. */
  ask(node: RedisServer, command: string, ...words: string[]): Promise<unknown> {
    return this.#controlOf(node).call(command, ...words);
  }

  async idOf(node: RedisServer): Promise<string> {
    return (await this.ask(node, 'CLUSTER', 'MYID')) as string;
  }

  /** The node that serves the slot of a key, by what the first one says that answers. */
  async masterOf(key: string): Promise<RedisServer> {
    const [node] = this.#running();
    if (node === undefined) throw new Error('no node runs');
    const slot = (await this.ask(node, 'CLUSTER', 'KEYSLOT', key)) as number;
    const serves = ({ slots }: Known) =>
      slots.some((range) => {
        const [first = -1, last = first] = range.split('-').map(Number);
        return first <= slot && slot <= last;
      });
    const found = (await this.#view(node)).find((known) => serves(known));
    const master = this.nodes[this.#told.indexOf(found?.port ?? -1)];
    if (master === undefined) throw new Error(`nobody serves the slot of ${key}`);
    return master;
  }

  /** Ends a node at once. */
  async kill(node: RedisServer): Promise<void> {
    this.#control.get(node)?.disconnect();
    this.#control.delete(node);
    this.#killed.add(node);
    await node.kill();
  }

  /** Resolves when all nodes that run say the same of each other and serve all slots, and replicas have what their masters have. */
  settled(): Promise<unknown> {
    return eventually(async () => {
      const running = this.#running();
      const ports = new Set(running.map((node) => this.#told[this.nodes.indexOf(node)]));
      const facts = new Set<string>();
      for (const node of running) {
        const known = (await this.#view(node)).filter(({ port }) => ports.has(port));
        const isWell = ({ flags, isConnected }: Known) =>
          isConnected && !flags.some((flag) => /fail|handshake|noaddr/.test(flag));
        if (known.length !== running.length || !known.every(isWell)) return false;
        facts.add(JSON.stringify(known.map(({ id, master, slots }) => [id, master, slots]).sort()));
        const info = String(await this.ask(node, 'CLUSTER', 'INFO'));
        if (!info.includes('cluster_state:ok')) return false;
        const replication = String(await this.ask(node, 'INFO', 'replication'));
        if (replication.includes('master_link_status:down')) return false;
      }
      return facts.size === 1;
    }, SETTLE_LIMIT);
  }

  async stop(): Promise<void> {
    for (const control of this.#control.values()) control.disconnect();
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  #running(): RedisServer[] {
    return this.nodes.filter((node) => !this.#killed.has(node));
  }

  /** `CLUSTER NODES` of a node. */
  async #view(node: RedisServer): Promise<Known[]> {
    const text = (await this.ask(node, 'CLUSTER', 'NODES')) as string;
    return text
      .trim()
      .split('\n')
      .map((line) => {
        const [id = '', at = '', flags = '', master = '', , , , link, ...slots] = line.split(' ');
        const port = Number(/:(\d+)@/.exec(at)?.[1]);
        return {
          id,
          port,
          flags: flags.split(','),
          master,
          isConnected: link === 'connected',
          slots,
        };
      });
  }

  #controlOf(node: RedisServer): Redis {
    let control = this.#control.get(node);
    if (control === undefined) {
      control = new Redis(node.port, '127.0.0.1', {
        ...{ enableReadyCheck: false, maxRetriesPerRequest: 0, commandTimeout: 5000 },
      });
      control.on('error', () => {});
      this.#control.set(node, control);
    }
    return control;
  }
}

/** A port that is free, as is the second one of a node on it. */
export async function nodePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
