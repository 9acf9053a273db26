/** `oxbus/testing`: a bus in memory whose clock the test moves. */

import type { BusEvent, EventBusConfig, PatternEvent } from '../index';
import type { TestBus as Contract } from '../testing';
import { stackFromCaller, startAsyncStacksAtCaller, startStacksAtCaller } from './caller-stacks';
import { EventBusClient } from './client/client';
import { ClientEnvironment } from './client/environment';
import { invalidAt } from './errors';
import { copyPlain } from './input/json';
import { native, type RawEvent } from './native/native';
import type { RecordPublished } from './publish/published-event';
import { VirtualTime } from './runtime/virtual-time';

/** So many published events are kept; the oldest one goes first. */
const MAX_PUBLISHED = 100_000;

/** A published event, with its place in the order of publishing. */
interface Published {
  event: RawEvent;
  batch: number;
  index: number;
}

// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export function createTestBus<Events = Record<string, any>>(
  config?: EventBusConfig,
): Contract<Events> {
  try {
    return new TestBus<Events>(config);
  } catch (error) {
    throw stackFromCaller(error, createTestBus);
  }
}

class TestBus<Events> extends EventBusClient<Events> implements Contract<Events> {
  readonly #time: VirtualTime;
  readonly #published: Published[];
  readonly #clients = new Set<EventBusClient>();
  /** The promises of the first `disconnect`: of this client alone, and of all clients. */
  #ended: { own: Promise<void>; all: Promise<void> } | undefined;

  constructor(config: EventBusConfig | undefined) {
    const time = new VirtualTime();
    const published: Published[] = [];
    const record: RecordPublished = (event, batch, index) => {
      insert(published, { event, batch, index });
      if (published.length > MAX_PUBLISHED) published.shift();
    };
    super(memoryConfig(config), environmentIn(time, record));
    this.#time = time;
    this.#published = published;
  }

  advance(ms: number): Promise<void> {
    if (typeof ms !== 'number' || !(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'ms', 'must be a number from 0');
    }
    return this.#time.advance(Math.floor(ms));
  }

  settled(): Promise<void> {
    return this.#time.rest(true);
  }

  published<const P extends string = '*'>(pattern?: P): PatternEvent<Events, P>[] {
    if (pattern !== undefined && typeof pattern !== 'string') {
      throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a string');
    }
    const events: BusEvent[] = [];
    for (const { event } of this.#published) {
      if (pattern !== undefined && !native.matches(pattern, event.type)) continue;
      // `structuredClone` would make objects of another realm than the one of the test.
      events.push(JSON.parse(JSON.stringify(event)) as BusEvent);
    }
    return events as unknown as PatternEvent<Events, P>[];
  }

  client<Other = Events>(config?: EventBusConfig): EventBusClient<Other> {
    const client = new EventBusClient<Other>(memoryConfig(config), environmentIn(this.#time));
    this.#clients.add(client as unknown as EventBusClient);
    return client;
  }

  now(): number {
    return this.#time.broker.now();
  }

  override disconnect(options?: { timeout?: number }): Promise<void> {
    return this.#withClients(super.disconnect(options), options);
  }

  override close(options?: { timeout?: number }): Promise<void> {
    return this.#withClients(super.close(options), options);
  }

  #withClients(own: Promise<void>, options: { timeout?: number } | undefined): Promise<void> {
    if (this.#ended?.own === own) return this.#ended.all;
    const all = own.then(async () => {
      await Promise.all([...this.#clients].map((client) => client.disconnect(options)));
    });
    this.#ended = { own, all };
    return all;
  }
}

startAsyncStacksAtCaller(TestBus, ['advance']);
startStacksAtCaller(TestBus, ['published', 'client']);

/** Results come nearly in the order of publishing, so the search begins at the end. */
function insert(published: Published[], one: Published): void {
  let at = published.length;
  for (; at > 0; at -= 1) {
    const before = published[at - 1] as Published;
    if (before.batch < one.batch || (before.batch === one.batch && before.index < one.index)) break;
  }
  published.splice(at, 0, one);
}

/** The configuration without a server, which a client in virtual time does not have. */
function memoryConfig(config: EventBusConfig | undefined): EventBusConfig {
  const given =
    config === undefined ? {} : copyPlain(config, 'ERR_BUS_INVALID_CONFIG', 'configuration');
  for (const key of ['redis', 'memory']) delete given[key];
  return { logLevel: 'warn', ...given, mode: 'memory' };
}

function environmentIn(time: VirtualTime, record?: RecordPublished): ClientEnvironment {
  const { broker, timers } = time;
  return new ClientEnvironment({ broker, timers, register: (one) => time.register(one), record });
}
