/*
 * A bus for tests: the whole bus in memory, with a clock that stands still until the test moves it.
 * It keeps the promises of `index.d.ts`, groups, retries and dead letters included; nothing waits
 * for real.
 */

import type {
  BusEvent,
  EventBusClient,
  EventBusConfig,
  PatternEvent,
  PatternOf,
  ReceivedEvents,
  SchemaInput,
  SchemaOutput,
  Schemas,
} from './index';

/** A client of a test bus, which can be asked for what it has published. */
export interface TestClient<
  // @ts-ignore
  // biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
  out Events = Record<string, any>,
  // @ts-ignore
  out Received = ReceivedEvents<Events>,
> extends EventBusClient<Events, Received> {
  /**
   * What was published through this client (not through others of the bus), in order; with a
   * pattern, the types that it matches. The newest 100 000, as copies; duplicates and failed
   * publishes are not among them. What the bus itself publishes to answer requests, and to take them back, is there
   * only for a pattern that begins with `oxbus.`. Also after `disconnect`.
   */
  published<const P extends string = '*'>(
    pattern?: PatternOf<Events, P>,
  ): PatternEvent<Received, P>[];

  /**
   * As of any client, but what still runs has 1000 ms of real time by default, not 10 000. The virtual clock is neither
   * waited for nor moved: what is due later, such as a retry, does not happen. A stored event in hand of an iterator is handed
   * back at once.
   */
  disconnect(options?: { timeout?: number | undefined }): Promise<void>;
  /** Alias of {@link disconnect}. */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

/** An event that is left over, as `undelivered` tells it. */
export type Undelivered<E = BusEvent> = E & {
  /**
   * `'unread'`: the group has not read it; `'pending'`: it has, and has not settled it, as a handler runs, a retry is not due,
   * or the event was handed back; `'unhandled'`: no handler of any client was called with it, and no group waits for it.
   */
  state: 'unread' | 'pending' | 'unhandled';
  /** The group that has not settled it; not where it is `'unhandled'`. */
  group?: string;
  /** The stream that stores it, if one does. */
  stream?: string;
  /** The id of its entry in the stream. */
  messageId?: string;
};

/**
 * A client with a broker and a clock of its own. Time-outs, retries, leases, heartbeats and
 * timestamps go by that clock; handlers run in real time. Subscriptions, iterators and joins do not keep the process alive;
 * unsettled promises do. `disconnect` ends its other clients too.
 */
export interface TestBus<
  // @ts-ignore
  // biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
  out Events = Record<string, any>,
  // @ts-ignore
  out Received = ReceivedEvents<Events>,
> extends TestClient<Events, Received> {
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
   * What is left over now, or was at the end after `disconnect`, in the order of publishing: events that no handler of any
   * client was called with, and stored events that a group has not settled, once for each such group. With a pattern, the
   * types that it matches. Not the dead letters of a group, which has settled them. Copies; of the newest 100 000 events of
   * each client.
   *
   * @throws ValidationError `INVALID_PATTERN` unless the pattern is a string.
   */
  undelivered<const P extends string = '*'>(
    pattern?: PatternOf<Events, P>,
  ): Undelivered<PatternEvent<Received, P>>[];

  /**
   * Another client on the same broker and clock, as another service would be. Disconnected with the
   * bus, at the latest.
   */
  client<Other = Events>(config?: EventBusConfig): TestClient<Other>;

  /** The time of the clock, in ms since 1970. It begins with the real one. */
  now(): number;
}

/**
 * A new bus; `mode`, `memory` and `redis` of the configuration are ignored, so that a service's own
 * will do. Logs from `'warn'` up unless `logLevel` says otherwise.
 *
 * @throws ValidationError as the constructor of {@link EventBusClient}.
 */
export declare function createTestBus<S extends Schemas, V extends boolean>(
  config: EventBusConfig & { schemas: S; validateOnReceive?: V | undefined },
): TestBus<SchemaInput<S>, SchemaOutput<S, V>>;
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export declare function createTestBus<Events = Record<string, any>>(
  config?: EventBusConfig,
): TestBus<Events>;

/** What a matcher answers to the test runner. */
export interface MatcherResult {
  pass: boolean;
  message(): string;
}

/** What a matcher uses of the test runner that calls it. */
export interface MatcherContext {
  equals(a: unknown, b: unknown, testers?: never[]): boolean;
  utils?: unknown;
}

/**
 * Matchers for `expect.extend` of Jest and Vitest. `import 'oxbus/jest'` and `import 'oxbus/vitest'` add them, with their
 * types; this is for other runners. They take a bus or a client of `createTestBus`, and a pattern as `published` does.
 */
export declare const matchers: {
  /** An event was published; with `data`, one whose data has these members, as `toMatchObject` has it. */
  toHavePublished(
    this: MatcherContext,
    bus: unknown,
    pattern: string,
    data?: unknown,
  ): MatcherResult;
  /** So many events were published. */
  toHavePublishedTimes(
    this: MatcherContext,
    bus: unknown,
    pattern: string,
    times: number,
  ): MatcherResult;
  /** Nothing is `undelivered`, or nothing whose type matches. Takes a bus, not a client. */
  toHaveDelivered(this: MatcherContext, bus: unknown, pattern?: string): MatcherResult;
  /** A group has given up such an event: it is among the dead letters. Resolves later: `await expect(bus)…`. */
  toHaveDeadLetter(
    this: MatcherContext,
    bus: unknown,
    pattern: string,
    data?: unknown,
  ): Promise<MatcherResult>;
};

/** The same as Jest and Vitest declare them; `R` is what a call returns. */
export interface BusMatchers<R = unknown> {
  /** The bus, or client, has published such an event; with `data`, one whose data has these members. */
  toHavePublished(pattern: string, data?: unknown): R;
  /** It has published so many such events. */
  toHavePublishedTimes(pattern: string, times: number): R;
  /** Nothing of the bus is `undelivered`, or nothing whose type matches. */
  toHaveDelivered(pattern?: string): R;
  /** A group has given up such an event. To be awaited. */
  toHaveDeadLetter(pattern: string, data?: unknown): Promise<R>;
}
