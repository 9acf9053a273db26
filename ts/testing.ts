/** `oxbus/testing`: a bus in memory whose clock the test moves. */

import type {
  BusEvent,
  EventBusConfig,
  PatternEvent,
  PatternOf,
  ReceivedEvents,
  SchemaInput,
  SchemaOutput,
  Schemas,
} from '../index';
import type { TestBus as BusContract, TestClient as ClientContract, Undelivered } from '../testing';
import { stackFromCaller, startAsyncStacksAtCaller, startStacksAtCaller } from './caller-stacks';
import { EventBusClient } from './client/client';
import { ClientEnvironment } from './client/environment';
import { invalidAt } from './errors';
import { copyPlain } from './input/json';
import { native } from './native/native';
import { VirtualTime } from './runtime/virtual-time';
import { PublishedEvents } from './testing/published-events';
import { Delivered, undelivered } from './testing/undelivered';

export { matchers } from './testing/matchers';

/**
 * For how long `disconnect` lets handlers finish, in ms of real time. What a handler of a test waits for is seldom slower,
 * and one that hangs must not use up the time that a test runner gives to a hook.
 */
const DRAIN_TIMEOUT = 1000;

export function createTestBus<S extends Schemas, V extends boolean>(
  config: EventBusConfig & { schemas: S; validateOnReceive?: V | undefined },
): BusContract<SchemaInput<S>, SchemaOutput<S, V>>;
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export function createTestBus<Events = Record<string, any>>(
  config?: EventBusConfig,
): BusContract<Events>;
export function createTestBus(config?: EventBusConfig): BusContract {
  try {
    return new TestBus(config);
  } catch (error) {
    throw stackFromCaller(error, createTestBus);
  }
}

/** What the clients of a test bus share. */
interface World {
  time: VirtualTime;
  delivered: Delivered;
}

class TestClient<Events, Received = ReceivedEvents<Events>>
  extends EventBusClient<Events, Received>
  implements ClientContract<Events, Received>
{
  static publishedBy(client: TestClient<never>): PublishedEvents {
    return client.#published;
  }

  readonly #published: PublishedEvents;

  constructor(config: EventBusConfig | undefined, world: World) {
    const published = new PublishedEvents();
    super(memoryConfig(config), environmentIn(world, published));
    this.#published = published;
  }

  published<const P extends string = '*'>(
    pattern?: PatternOf<Events, P>,
  ): PatternEvent<Received, P>[] {
    checkPattern(pattern);
    return this.#published.matching(pattern) as unknown as PatternEvent<Received, P>[];
  }

  override disconnect(options?: { timeout?: number }): Promise<void> {
    return super.disconnect(drainOptions(options));
  }

  override close(options?: { timeout?: number }): Promise<void> {
    return super.close(drainOptions(options));
  }
}

class TestBus<Events, Received = ReceivedEvents<Events>>
  extends TestClient<Events, Received>
  implements BusContract<Events, Received>
{
  readonly #world: World;
  readonly #clients: TestClient<never>[] = [];
  /** The promises of the first `disconnect`: of this client alone, and of all clients. */
  #ended: { own: Promise<void>; all: Promise<void> } | undefined;

  constructor(config: EventBusConfig | undefined) {
    const world = { time: new VirtualTime(), delivered: new Delivered() };
    super(config, world);
    this.#world = world;
    this.#clients.push(this as unknown as TestClient<never>);
  }

  advance(ms: number): Promise<void> {
    if (typeof ms !== 'number' || !(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'ms', 'must be a number from 0');
    }
    return this.#world.time.advance(Math.floor(ms));
  }

  settled(): Promise<void> {
    return this.#world.time.rest(true);
  }

  undelivered<const P extends string = '*'>(
    pattern?: PatternOf<Events, P>,
  ): Undelivered<PatternEvent<Received, P>>[] {
    checkPattern(pattern);
    const published = this.#clients.map(TestClient.publishedBy);
    const { time, delivered } = this.#world;
    const left: Undelivered<BusEvent>[] = undelivered(published, time.broker, delivered);
    const wanted = left.filter(
      ({ type }) => pattern === undefined || native.matches(pattern, type),
    );
    return wanted as unknown as Undelivered<PatternEvent<Received, P>>[];
  }

  client<Other = Events>(config?: EventBusConfig): ClientContract<Other> {
    const client = new TestClient<Other>(config, this.#world);
    this.#clients.push(client as unknown as TestClient<never>);
    return client;
  }

  now(): number {
    return this.#world.time.broker.now();
  }

  override disconnect(options?: { timeout?: number }): Promise<void> {
    return this.#withClients(super.disconnect(options), options);
  }

  override close(options?: { timeout?: number }): Promise<void> {
    return this.#withClients(super.close(options), options);
  }

  #withClients(own: Promise<void>, options: { timeout?: number } | undefined): Promise<void> {
    if (this.#ended?.own === own) return this.#ended.all;
    // Wrong options have changed nothing. All clients end at once, so that none of them takes over what another one leaves.
    const others = ENDING.includes(this.state) ? this.#clients.slice(1) : [];
    const all = Promise.all([own, ...others.map((client) => client.disconnect(options))]);
    const ended = all.then(() => undefined);
    this.#ended = { own, all: ended };
    return ended;
  }
}

startAsyncStacksAtCaller(TestBus, ['advance']);
startStacksAtCaller(TestBus, ['undelivered', 'client']);
startStacksAtCaller(TestClient, ['published']);

const ENDING: readonly string[] = ['draining', 'closed'];

function drainOptions(options: { timeout?: number } | undefined): { timeout?: number } | undefined {
  if (options === undefined) return { timeout: DRAIN_TIMEOUT };
  return options?.timeout === undefined && typeof options === 'object' && options !== null
    ? { ...options, timeout: DRAIN_TIMEOUT }
    : options;
}

function checkPattern(pattern: unknown): void {
  if (pattern !== undefined && typeof pattern !== 'string') {
    throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a string');
  }
}

/** The configuration without a server, which a client in virtual time does not have. */
function memoryConfig(config: EventBusConfig | undefined): EventBusConfig {
  const given =
    config === undefined ? {} : copyPlain(config, 'ERR_BUS_INVALID_CONFIG', 'configuration');
  for (const key of ['redis', 'memory']) delete given[key];
  return { logLevel: 'warn', ...given, mode: 'memory' };
}

function environmentIn({ time, delivered }: World, published: PublishedEvents): ClientEnvironment {
  const { broker, timers } = time;
  return new ClientEnvironment({
    broker,
    timers,
    register: (one) => time.register(one),
    record: published.record,
    delivered: delivered.note,
    isResident: false,
    lastNext: 0,
  });
}
