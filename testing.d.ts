/*
 * A bus for tests: the whole bus in memory, with a clock that stands still until the test moves it.
 * It keeps the promises of `index.d.ts`, groups, retries and dead letters included; nothing waits
 * for real.
 */

import type { EventBusClient, EventBusConfig, PatternEvent } from './index';

/**
 * A client with a broker and a clock of its own. Time-outs, retries, leases, heartbeats and
 * timestamps go by that clock; handlers run in real time.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export interface TestBus<Events = Record<string, any>> extends EventBusClient<Events> {
  /**
   * Moves the clock forward, stopping wherever something is due, and lets everything run that can
   * run by then, on all clients of this bus. Does not wait for handlers that wait themselves; what
   * they await besides the bus (files, real timers) is for `settled`.
   *
   * @throws ValidationError `INVALID_OPTIONS` unless `ms` is a number from 0.
   */
  advance(ms: number): Promise<void>;

  /**
   * Resolves when no handler runs and nothing is on its way: published, read, handled,
   * acknowledged. The clock stands still, so what is due later (retries, batches that wait) is not
   * waited for. Nor are events that wait in iterators or for paused subscriptions. Does not resolve
   * while a handler hangs: its `timeout` goes by the clock, which only `advance` moves.
   */
  settled(): Promise<void>;

  /**
   * What was published through this client (not through others of the bus), in order; with a
   * pattern, the types that it matches. The newest 100 000, as copies; duplicates and failed
   * publishes are not among them.
   */
  published<const P extends string = '*'>(pattern?: P): PatternEvent<Events, P>[];

  /**
   * Another client on the same broker and clock, as another service would be. Disconnected with the
   * bus, at the latest.
   */
  client<Other = Events>(config?: EventBusConfig): EventBusClient<Other>;

  /** The time of the clock, in ms since 1970. It begins with the real one. */
  now(): number;
}

/**
 * A new bus; `mode`, `memory` and `redis` of the configuration are ignored, so that a service's own
 * will do. Logs from `'warn'` up unless `logLevel` says otherwise.
 *
 * @throws ValidationError as the constructor of {@link EventBusClient}.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export declare function createTestBus<Events = Record<string, any>>(
  config?: EventBusConfig,
): TestBus<Events>;
