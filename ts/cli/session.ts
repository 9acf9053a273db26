/** What the commands of one call share: the terminal, the configuration, and the clients, which are made when they are needed. */

import type { EventBusClient, EventBusConfig, RedisConfig } from '../../index';
import type { Ask } from '../native/methods';
import { findConfig, readConfigFile } from './config-file';
import { usage } from './failure';
import type { Given } from './given';
import type { Terminal } from './terminal';

const SERVICE = 'oxbus-cli';

export class Session {
  readonly terminal: Terminal;
  readonly #given: Given;
  readonly #abort = new AbortController();
  #config: Promise<EventBusConfig> | undefined;
  readonly #clients: EventBusClient[] = [];

  constructor(terminal: Terminal, given: Given) {
    this.terminal = terminal;
    this.#given = given;
  }

  /** Aborts at Ctrl-C. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  interrupt(): void {
    this.#abort.abort();
  }

  /** The configuration of the services with the flags over it. */
  config(): Promise<EventBusConfig> {
    this.#config ??= this.#readConfig();
    return this.#config;
  }

  async #readConfig(): Promise<EventBusConfig> {
    const { flags } = this.#given;
    const file = findConfig(flags.text('config'), process.cwd());
    const shared = file === undefined ? {} : await readConfigFile(file);
    const redis = addressFlags(flags) ?? shared.redis;
    const prefix = flags.text('prefix');
    const config: EventBusConfig = {
      ...shared,
      ...(redis !== undefined && { redis }),
      ...(prefix !== undefined && { channelPrefix: prefix }),
    };
    if (redis === undefined && !process.env.REDIS_URL && !process.env.REDIS_HOST) {
      throw usage('no server is named: give --redis redis://…, or set REDIS_URL');
    }
    return config;
  }

  /** An observer, connected. It makes no stream, no group and no consumer. */
  async observer(): Promise<EventBusClient> {
    const { streams, persistence, deadLetter, channelPrefix, wire, redis, pubsub } =
      await this.config();
    return this.#open({
      observe: true,
      redis,
      channelPrefix,
      wire,
      pubsub,
      persistence,
      deadLetter,
      streams: streams?.map(({ consumerGroups: _, ...stream }) => stream),
    });
  }

  /** Asks the engine as the methods of a client do, and gets events as texts. */
  async ask(): Promise<Ask> {
    const bus = await this.observer();
    const { internalsOf } = require('../client/internals') as typeof import('../client/internals');
    const internals = internalsOf(bus);
    if (internals === undefined) throw new Error('this is no client of oxbus');
    return internals.ask;
  }

  /** A client that publishes. */
  async publisher(streams: EventBusConfig['streams']): Promise<EventBusClient> {
    const { persistence, channelPrefix, wire, redis, pubsub, json } = await this.config();
    return this.#open({ redis, channelPrefix, wire, pubsub, persistence, json, streams });
  }

  async #open(config: EventBusConfig): Promise<EventBusClient> {
    const { EventBusClient: Client } = require('../index') as typeof import('../index');
    const given = Object.entries(config).filter(([, value]) => value !== undefined);
    const bus = new Client({
      ...Object.fromEntries(given),
      serviceName: SERVICE,
      mode: 'redis',
      logLevel: 'silent',
      logger: false,
    }) as EventBusClient;
    this.#clients.push(bus);
    bus.on('error', () => {});
    await connected(bus, config);
    bus.on('warning', ({ code, message }) => this.terminal.note(`${code}: ${message}`));
    return bus;
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((bus) => bus.disconnect({ timeout: 2000 })));
  }
}

type Flags = Given['flags'];

/**
 * Resolves when it is connected. A client goes on trying for some seconds, as its server may start later than it; who sits at a
 * terminal is told at once that nobody listens there. Of several servers another one may answer.
 */
async function connected(bus: EventBusClient, { redis }: EventBusConfig): Promise<void> {
  const isOne = typeof redis !== 'object' || !(redis.sentinel ?? redis.cluster);
  await new Promise<void>((resolve, reject) => {
    bus.on('reconnecting', ({ error }) => {
      if (isOne && error.code === 'ERR_BUS_CONNECTION_REFUSED') reject(error);
    });
    bus.connect().then(resolve, reject);
  });
}

/** The server that flags name; undefined where none does. */
function addressFlags(flags: Flags): string | RedisConfig | undefined {
  const [url, sentinel, cluster] = ['redis', 'sentinel', 'cluster'].map((name) => flags.text(name));
  if ([url, sentinel, cluster].filter((one) => one !== undefined).length > 1) {
    throw usage('give one of --redis, --sentinel and --cluster');
  }
  const env = loginOf(process.env);
  if (sentinel !== undefined) {
    const [, name, nodes] = /^([^@\s]+)@(\S+)$/.exec(sentinel) ?? [];
    if (name === undefined || nodes === undefined) {
      throw usage(`--sentinel: must be name@host:port,…, not '${sentinel}'`);
    }
    return { ...env, sentinel: { name, nodes: nodes.split(',') } };
  }
  if (cluster !== undefined) return { ...env, cluster: { nodes: cluster.split(',') } };
  return url;
}

/** The login of the environment, which the address of a flag does not say. */
function loginOf(env: NodeJS.ProcessEnv): RedisConfig {
  return {
    ...(env.REDIS_USERNAME && { username: env.REDIS_USERNAME }),
    ...(env.REDIS_PASSWORD && { password: env.REDIS_PASSWORD }),
  };
}
