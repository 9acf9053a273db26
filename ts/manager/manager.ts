/** The bus of the process: its first use makes a client, and it publishes events about itself. */

import type {
  BusEvent,
  EventBusClient as ClientContract,
  EventBusManager as Contract,
  EventBusManagerOptions,
  EventHandler,
  FlatEvent,
  HandlerContext,
  HealthReport,
  ManagerPublishOptions,
  ManagerSubscribeOptions,
  PublishResult,
  ReceivedFlatEvent,
  Subscription,
  SystemStats,
} from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { EventBusClient } from '../client/client';
import { abandon, endsIncomplete } from '../client/closing';
import { invalidAt } from '../errors';
import { copyPlain } from '../input/json';
import { copyOptions, reading, readOptions } from '../input/options';
import { readWait } from '../input/wait';
import { monotonic } from '../runtime/clock';
import { endAtSignals, readShutdownSignals } from '../runtime/shutdown';
import { fromFlat, toFlat } from './flat-events';
import { readMode } from './mode';
import { readStatusPlan, SystemEvents } from './system-events';

const CONFIG = 'ERR_BUS_INVALID_CONFIG';
const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const SHUTDOWN_TIMEOUT = 10_000;
/** The part of the shutdown time that may pass until the event `system.shutdown` is published, in ms. */
const ANNOUNCEMENT_TIMEOUT = 1000;

/** A bus that is open, or closing. */
interface OpenBus {
  client: EventBusClient;
  system: SystemEvents;
  /** Subscriptions under way. */
  subscribing: Set<Promise<unknown>>;
  /** Takes the bus out of those that end at a signal. */
  leave: () => void;
  closing: Promise<void> | undefined;
}

export class EventBusManager implements Contract {
  #options: EventBusManagerOptions | undefined;
  #open: OpenBus | undefined;
  /** The client that was shut down last: health checks and statistics are asked of it. */
  #closed: EventBusClient | undefined;
  /** That the client made last works in memory without having been asked to. */
  #fallback: HealthReport['warnings'][number] | undefined;

  constructor(options?: EventBusManagerOptions) {
    this.#options = options;
  }

  get client(): ClientContract | null {
    return this.#open?.client ?? null;
  }

  initialize(options?: EventBusManagerOptions): Promise<void> {
    if (options !== undefined) {
      if (this.#open !== undefined) throw invalidAt(OPTIONS, 'options', 'the bus is open');
      this.#options = options;
    }
    return this.#use().connect();
  }

  publish(event: FlatEvent, options?: ManagerPublishOptions): Promise<PublishResult> {
    const sides = readSides(options);
    const { type, data, options: own } = fromFlat(event);
    const client = this.#use();
    return client.publish(type, data, isAlone(client) ? own : { ...own, ...sides });
  }

  // biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
  subscribe<M = Record<string, any>>(
    type: string | readonly string[],
    handler: (event: ReceivedFlatEvent<M>, ctx: HandlerContext) => unknown,
    options?: ManagerSubscribeOptions,
  ): Promise<string[]> {
    if (typeof handler !== 'function') throw invalidAt(OPTIONS, 'handler', 'must be a function');
    const given: ManagerSubscribeOptions = copyOptions(options);
    if (given.batch !== undefined) throw invalidAt(OPTIONS, 'batch', 'not with the manager');
    readFlag(given, 'localOnly');
    const client = this.#use();
    if (isAlone(client)) delete given.localOnly;
    const called: EventHandler<BusEvent> = (event, ctx) =>
      handler(toFlat(event) as ReceivedFlatEvent<M>, ctx);
    const subscription = client.subscribe<string | readonly string[]>(type, called, given);
    return this.#idsOf(subscription, this.#open?.subscribing);
  }

  unsubscribe(ids: string | readonly string[]): Promise<boolean> {
    const all = reading('ids', () => (Array.isArray(ids) ? [...ids] : [ids]) as unknown[]);
    const texts = all.map((id) => {
      if (typeof id !== 'string') throw invalidAt(OPTIONS, 'ids', 'must be strings');
      return id;
    });
    const client = this.#open?.client;
    if (client === undefined) return Promise.resolve(false);
    const ended = Promise.all(texts.map((id) => client.unsubscribe(id)));
    return ended.then((each) => each.includes(true));
  }

  getSystemStats(): Promise<SystemStats> {
    const client = this.#observe();
    return this.#healthOf(client).then((health) => systemStatsOf(client, health));
  }

  healthCheck(): Promise<HealthReport> {
    return this.#healthOf(this.#observe());
  }

  shutdown(options?: { timeout?: number }): Promise<void> {
    const { timeout } = readWait(options, ['timeout']);
    const open = this.#open;
    if (open === undefined) return Promise.resolve();
    open.closing ??= this.#close(open, timeout ?? SHUTDOWN_TIMEOUT);
    return open.closing;
  }

  async #healthOf(client: EventBusClient): Promise<HealthReport> {
    const fallback = this.#fallback;
    const report = await client.healthCheck();
    // The client was told to work in memory, and has nothing to say of that.
    return fallback === undefined
      ? report
      : { ...report, warnings: [fallback, ...report.warnings] };
  }

  async #idsOf(
    subscription: Promise<Subscription>,
    subscribing: Set<Promise<unknown>> | undefined,
  ): Promise<string[]> {
    subscribing?.add(subscription);
    try {
      return [(await subscription).id];
    } finally {
      subscribing?.delete(subscription);
    }
  }

  /** The open client. If there is none, this makes one. */
  #use(): EventBusClient {
    this.#open ??= this.#make();
    return this.#open.client;
  }

  /** The client for health checks and statistics: a late probe must not open the bus again. */
  #observe(): EventBusClient {
    return this.#open?.client ?? this.#closed ?? this.#use();
  }

  #make(): OpenBus {
    const given = copyPlain(this.#options ?? {}, CONFIG, 'configuration');
    const { statusInterval, statusEverywhere, shutdownSignals, ...config } = given;
    const plan = readStatusPlan(statusInterval, statusEverywhere);
    const signals = readShutdownSignals(shutdownSignals);
    const read = readMode(config);
    const client = new EventBusClient(read.config);
    const open: OpenBus = {
      client,
      system: new SystemEvents(client, plan),
      subscribing: new Set(),
      leave: endAtSignals(signals, client, {
        end: () => this.shutdown().then(() => endsIncomplete(client.disconnect())),
        abandon: () => abandon(client.disconnect()),
      }),
      closing: undefined,
    };
    this.#closed = undefined;
    this.#fallback = read.fallback;
    // Subscriptions that were the first use, or came with it, receive `system.initialized` too.
    const begin = async () => {
      await Promise.allSettled(open.subscribing);
      open.system.begin();
    };
    // A client that cannot connect yet goes on trying.
    client.connect().then(begin, () => void client.once('ready', begin));
    return open;
  }

  async #close(open: OpenBus, timeout: number): Promise<void> {
    const { client, system } = open;
    const started = monotonic();
    await system.end(Math.min(ANNOUNCEMENT_TIMEOUT, timeout));
    const left = Math.max(0, timeout - (monotonic() - started));
    await client.disconnect({ timeout: left });
    open.leave();
    if (this.#open === open) this.#open = undefined;
    this.#closed = client;
  }
}

startAsyncStacksAtCaller(EventBusManager, [
  'initialize',
  'publish',
  'subscribe',
  'unsubscribe',
  'getSystemStats',
  'healthCheck',
  'shutdown',
]);

const REGISTRY = Symbol.for('oxbus.manager');

/** The manager of this realm: bundlers make copies of this package, which are still one service. */
function processManager(): EventBusManager {
  const realm = globalThis as { [REGISTRY]?: EventBusManager };
  realm[REGISTRY] ??= new EventBusManager();
  return realm[REGISTRY];
}

export const eventBusManager: Contract = processManager();

function systemStatsOf(client: EventBusClient, health: HealthReport): SystemStats {
  const stats = client.getStats();
  const connected = !isAlone(client) && (health.redis?.connected ?? false);
  const redisHealth = { connected, latency: connected ? health.latency : null };
  return { stats: { ...stats, redisHealth }, health, uptime: stats.uptime };
}

/** Whether events stay in this process, so that there are no sides to choose from. */
function isAlone(client: EventBusClient): boolean {
  return client.toJSON().mode === 'memory';
}

function readSides(options: unknown): ManagerPublishOptions {
  const sides: ManagerPublishOptions = readOptions(options, ['localOnly', 'redisOnly']);
  readFlag(sides, 'localOnly');
  readFlag(sides, 'redisOnly');
  if (sides.localOnly === true && sides.redisOnly === true) {
    throw invalidAt(OPTIONS, 'redisOnly', 'not together with localOnly');
  }
  return sides;
}

function readFlag<K extends string>(options: { [name in K]?: unknown }, name: K): void {
  const value = options[name];
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalidAt(OPTIONS, name, 'must be a boolean');
  }
}
