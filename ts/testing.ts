/** `oxbus/testing`: a bus in memory whose clock the test moves. */

import type { BusEvent, EventBusConfig, PatternEvent } from '../index';
import type { TestBus as Contract } from '../testing';
import { EventBusClient } from './client/client';
import { place, type Recorder } from './client/environment';
import { invalidAt, traced } from './errors';
import { copyPlain } from './input/json';
import { native, type RawEvent } from './native/native';
import { VirtualTime } from './runtime/virtual-time';

/** Published events that are kept. */
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
    throw traced(error, createTestBus);
  }
}

class TestBus<Events> extends EventBusClient<Events> implements Contract<Events> {
  readonly #time: VirtualTime;
  readonly #published: Published[];
  readonly #clients = new Set<EventBusClient>();
  /** What `disconnect` answered for this client alone, and for all. */
  #ended: { own: Promise<void>; all: Promise<void> } | undefined;

  constructor(config: EventBusConfig | undefined) {
    const time = new VirtualTime();
    const published: Published[] = [];
    const record: Recorder = (event, batch, index) => {
      insert(published, { event, batch, index });
      if (published.length > MAX_PUBLISHED) published.shift();
    };
    super(configIn(time, config, record));
    this.#time = time;
    this.#published = published;
  }

  async advance(ms: number): Promise<void> {
    try {
      if (typeof ms !== 'number' || !(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
        throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'ms', 'must be a number from 0');
      }
      await this.#time.advance(Math.floor(ms));
    } catch (error) {
      throw traced(error, TestBus.prototype.advance);
    }
  }

  settled(): Promise<void> {
    return this.#time.rest(true);
  }

  published<const P extends string = '*'>(pattern?: P): PatternEvent<Events, P>[] {
    if (pattern !== undefined && typeof pattern !== 'string') {
      const error = invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a string');
      throw traced(error, TestBus.prototype.published);
    }
    const events: BusEvent[] = [];
    for (const { event } of this.#published) {
      if (pattern !== undefined && !native.matches(pattern, event.type)) continue;
      // Not `structuredClone`: in a test's realm its objects are strangers.
      events.push(JSON.parse(JSON.stringify(event)) as BusEvent);
    }
    return events as unknown as PatternEvent<Events, P>[];
  }

  client<Other = Events>(config?: EventBusConfig): EventBusClient<Other> {
    try {
      const client = new EventBusClient<Other>(configIn(this.#time, config, undefined));
      this.#clients.add(client as unknown as EventBusClient);
      return client;
    } catch (error) {
      throw traced(error, TestBus.prototype.client);
    }
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

/** Results come nearly in the order of publishing, so the place is at the end or not far from it. */
function insert(published: Published[], one: Published): void {
  let at = published.length;
  for (; at > 0; at -= 1) {
    const before = published[at - 1] as Published;
    if (before.batch < one.batch || (before.batch === one.batch && before.index < one.index)) break;
  }
  published.splice(at, 0, one);
}

/** The configuration of a client that lives in virtual time. */
function configIn(
  time: VirtualTime,
  config: EventBusConfig | undefined,
  record: Recorder | undefined,
): EventBusConfig {
  const given =
    config === undefined ? {} : copyPlain(config, 'ERR_BUS_INVALID_CONFIG', 'configuration');
  for (const key of ['redis', 'memory']) delete given[key];
  const own: EventBusConfig = { logLevel: 'warn', ...given, mode: 'memory' };
  const { broker, timers } = time;
  const admit = time.admit.bind(time);
  place(own, record === undefined ? { broker, timers, admit } : { broker, timers, admit, record });
  return own;
}
