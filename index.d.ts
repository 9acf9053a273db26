/// <reference lib="esnext.disposable" />

/*
 * The public contract of oxbus. All durations are milliseconds and all sizes bytes, unless a name
 * says otherwise. Delivery is at most once: an event published while a subscriber is disconnected
 * does not reach it, and every loss that can be known of is counted or announced.
 */

// ---------------------------------------------------------------------------------------- events

/** An event, as handlers get it. */
export interface BusEvent<T = unknown, K extends string = string> {
  /** UUIDv7, unless the publisher gave an id. */
  id: string;
  /** The event type, such as `photo.uploaded`. */
  type: K;
  /** The payload: any JSON value. */
  data: T;
  /** Where the event comes from and what it belongs to. */
  metadata: EventMetadata;
}

export type { BusEvent as Event };

/** What is known of an event beside its payload. Missing fields of foreign messages are filled in. */
export interface EventMetadata {
  /** When it was published: ISO 8601, milliseconds, UTC. Foreign messages without one: receipt. */
  timestamp: string;
  /** `serviceName` of the publisher; `'unknown'` for foreign messages without one. */
  source: string;
  /** Unique per start of the publishing client. Missing in foreign messages. */
  instanceId?: string;
  /** Given, or inherited from the event being handled, or new. */
  correlationId: string;
  /** Given, or the id of the event being handled. */
  causationId?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** W3C trace context. */
  tracestate?: string;
  userId?: string;
  organizationId?: string;
  room?: string;
  /** What the event is about. */
  key?: string;
  /** {@link PublishOptions.metadata}. */
  [extra: string]: unknown;
}

/** The event types of a map. */
export type EventType<Events> = keyof Events & string;

/** The union of the events of a map, discriminated by `type`; or those of some types. */
export type EventOf<Events, K extends EventType<Events> = EventType<Events>> = K extends unknown
  ? BusEvent<Events[K], K>
  : never;

/** Whether a text has no character that is special in a pattern. */
type IsPlain<S extends string> = S extends `${string}${'*' | '?' | '[' | '\\'}${string}`
  ? false
  : true;

/** All types of the map when none is known to match: the pattern may address channels. */
type OrAll<Events, K> = [K] extends [never] ? EventType<Events> : K & EventType<Events>;

/** The types of a map that a pattern matches, as far as the compiler can tell. */
export type MatchingType<Events, P extends string> =
  string extends EventType<Events>
    ? EventType<Events>
    : P extends EventType<Events>
      ? P
      : P extends `${infer Prefix}*`
        ? IsPlain<Prefix> extends true
          ? OrAll<Events, Extract<EventType<Events>, `${Prefix}${string}`>>
          : EventType<Events>
        : EventType<Events>;

/**
 * The events that a subscription to `P` gets: of an exact type, a prefix pattern (`photo.*`) or `*`
 * the union of the matching types; of any other pattern the union of all; of an array the union.
 */
export type PatternEvent<Events, P extends string | readonly string[]> = EventOf<
  Events,
  MatchingType<Events, P extends readonly string[] ? P[number] : P & string>
>;

// -------------------------------------------------------------------------------------- publish

/** Options of `publish`, `publishBatch` and `broadcast`. Unknown keys: `INVALID_OPTIONS`. */
export interface PublishOptions {
  /** The id of the event, 1–512 characters; default: a new UUIDv7. */
  id?: string;
  /** When it happened: ISO 8601 with a time zone, ms since 1970, or a Date. Default: now. */
  timestamp?: string | number | Date;
  /** Default: `serviceName`. */
  source?: string;
  /** Default: inherited from the event being handled, else new. */
  correlationId?: string;
  /** Default: the id of the event being handled, else none. */
  causationId?: string;
  userId?: string;
  organizationId?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** W3C trace context. */
  tracestate?: string;
  /** Further metadata, JSON; cannot replace the fields of {@link EventMetadata}. */
  metadata?: Record<string, unknown>;
  /** What the event is about; `queue.overflow: 'latest-per-key'` goes by it. */
  key?: string;
  /** Deadline of the whole call, in ms; default: `redis.commandTimeout`. */
  timeout?: number;
  /** Ends the call with `ABORTED`; `outcome` tells whether the event may have been sent. */
  signal?: AbortSignal;
}

/** One item of `publishBatch`: an event of the map, with its own options. */
export type PublishItem<Events, K extends EventType<Events> = EventType<Events>> = K extends unknown
  ? { type: K; data: Events[K] } & PublishOptions
  : never;

/** What became of a publish that succeeded. */
export interface PublishResult {
  eventId: string;
  type: string;
  /** The channel it was published on, prefix included. */
  channel: string;
  /** The event's timestamp: ISO 8601. */
  timestamp: string;
  /** How many subscriptions the server (or the memory broker) handed it to; for information. */
  receivers: number;
  /** How many handlers of this client got it without the server; 0 outside hybrid mode. */
  local: number;
}

// ------------------------------------------------------------------------------------ subscribe

/** Options of `subscribe`. Unknown keys: `INVALID_OPTIONS`. */
export interface SubscribeOptions {
  /** Handlers running at once; default 256. */
  concurrency?: number;
  /**
   * Time for one handler call, in ms; default 30 000, 0: none. Then `ctx.signal` aborts and the call
   * counts as failed; what it returns later is ignored (`zombieHandlers`).
   */
  timeout?: number;
  /** Whether failed calls are tried again; default true. */
  retryOnError?: boolean;
  /** Retries after the first attempt; default 3. */
  maxRetries?: number;
  /** The delays between attempts. */
  retry?: RetryOptions;
  /**
   * Whether this failure is tried again; default: all but `NonRetryableError` and `ValidationError`.
   * Must not throw; if it does, the default decides.
   */
  retryIf?: (error: unknown) => boolean;
  /** Off unless given; `true` takes the defaults. */
  circuitBreaker?: boolean | CircuitBreakerOptions;
  /**
   * Drops events before JavaScript wakes: a path into the event and the value it must equal (JSON
   * equality), an array meaning any of; a missing path is no match.
   * `{ 'data.status': 'failed', 'metadata.source': ['a', 'b'] }`
   */
  filter?: Record<string, unknown>;
  /** The bound of events that wait for a handler. Every drop is counted in `eventsDropped`. */
  queue?: QueueOptions;
  /** Skips events that this client published; default false. */
  noEcho?: boolean;
  /** What patterns address: event types (default) or channels, without the prefix. */
  by?: 'type' | 'channel';
  /** Ends the subscription when it aborts. */
  signal?: AbortSignal;
}

/** Delays between attempts: `initialDelay * multiplier ** (attempt - 1)`, at most `maxDelay`. */
export interface RetryOptions {
  /** In ms; default 1000. */
  initialDelay?: number;
  /** In ms; default 10 000. */
  maxDelay?: number;
  /** Default 2. */
  multiplier?: number;
  /** `'full'` (default): a random delay between 0 and the computed one. */
  jitter?: 'full' | 'none';
}

/**
 * Stops calling a handler that fails too often. While open no attempt starts, retries wait, and live
 * events are dropped and counted; half-open lets one call through.
 */
export interface CircuitBreakerOptions {
  /** Default 50. */
  errorThresholdPercentage?: number;
  /** In ms from open to half-open; default 60 000. */
  resetTimeout?: number;
  /** Calls within the window before it may open; default 10. */
  minimumCalls?: number;
  /** In ms; default 10 000. */
  window?: number;
}

/** The bound of the events that wait for handlers, and what happens beyond it. */
export interface QueueOptions {
  /** Default 10 000. */
  maxEvents?: number;
  /** In bytes; default 64 MiB. */
  maxBytes?: number;
  /** Default `'drop-oldest'`. `'latest-per-key'` puts an event in the place of the waiting one
   * with the same `metadata.key`. */
  overflow?: 'drop-oldest' | 'drop-newest' | 'latest-per-key';
}

/** Options of `events`: as a handler's, without those that only make sense for one. */
export type EventsOptions = Omit<
  SubscribeOptions,
  'timeout' | 'retryOnError' | 'maxRetries' | 'retry' | 'retryIf' | 'circuitBreaker'
>;

/** What a handler knows of its call. */
export interface HandlerContext {
  /** Aborts when the handler's time is over, or when `disconnect` no longer waits for it. */
  readonly signal: AbortSignal;
  /** From 1. */
  readonly attempt: number;
  /** The pattern of the subscription that matched. */
  readonly pattern: string;
  /** The channel it came on, prefix included. */
  readonly channel: string;
}

/**
 * Called once per event. A returned promise is awaited; any other return value is ignored. Throwing
 * anything, or rejecting, fails this call alone and never reaches the process.
 */
export type EventHandler<E = BusEvent> = (event: E, ctx: HandlerContext) => unknown;

/** A live subscription. */
export interface Subscription {
  readonly id: string;
  /** As given to `subscribe`. */
  readonly pattern: string | readonly string[];
  readonly state: 'pending' | 'active' | 'paused' | 'closed';
  /** Starts no handler until `resume`; events wait in the bounded queue. */
  pause(): void;
  resume(): void;
  /**
   * Once resolved, no new call starts. With `wait` it resolves when running calls have ended too,
   * but the one it is called from (which `inherit: false` hides after the handler's first `await`).
   * Resolves false if it was closed before.
   */
  unsubscribe(options?: { wait?: boolean }): Promise<boolean>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One object that handles several types, for `subscribeAll`. */
export interface Projection<E = BusEvent> {
  subscribedTo(): readonly string[];
  handle(event: E, ctx: HandlerContext): unknown;
}

/**
 * The events of a pattern, in order. Bounded by `concurrency` here and by `queue` behind it. Leaving
 * the loop by `break`, `return` or a throw unsubscribes. It ends when the client disconnects.
 */
export interface EventIterator<E = BusEvent> extends AsyncIterableIterator<E>, AsyncDisposable {
  /** Resolves when the subscription is confirmed; rejects as `subscribe` does. */
  ready(): Promise<void>;
  next(): Promise<IteratorResult<E, undefined>>;
  return(): Promise<IteratorResult<E, undefined>>;
  throw(error?: unknown): Promise<IteratorResult<E, undefined>>;
  [Symbol.asyncIterator](): EventIterator<E>;
}

// --------------------------------------------------------------------------------- configuration

/** Configuration of a client. Unknown keys and bad values: `INVALID_CONFIG` naming the path. */
export interface EventBusConfig {
  /** Default: `SERVICE_NAME`, else the name of the package, else `'oxbus'`. */
  serviceName?: string;
  /** Default: `'redis'` if there is an address, else `'memory'`. */
  mode?: 'redis' | 'memory';
  /** A URL (`redis://`, `rediss://`, `unix://`) or its parts. Default: from the environment. */
  redis?: string | RedisConfig;
  /** Memory mode: clients of one realm with the same name share a broker; default `'default'`. */
  memory?: string;
  /** Before every channel; default `''`. */
  channelPrefix?: string;
  validation?: ValidationConfig;
  /** A validator per event type, checked on publish; its output replaces `data`. */
  schemas?: Record<string, StandardSchemaV1>;
  /** Also check received events; one that fails never reaches the handler. Default false. */
  validateOnReceive?: boolean;
  /** Default of `SubscribeOptions.retry`. */
  retry?: RetryOptions;
  /** Whether events published by a handler inherit its correlation and causation; default true. */
  inherit?: boolean;
  /** Where logs go; default: the console. */
  logger?: Logger;
  /** The least level that is logged; default `'info'`. */
  logLevel?: LogLevel;
  /** Refuse a server whose `maxmemory-policy` may delete keys; else `healthCheck` warns. Default false. */
  requireNoEviction?: boolean;
  performance?: PerformanceConfig;
}

export type { EventBusConfig as EventBusClientConfig };

/** The address of a server and how to talk to it. `{}` is localhost:6379. */
export interface RedisConfig {
  /** Instead of the parts; `unix://` for a unix socket. */
  url?: string;
  host?: string;
  port?: number;
  username?: string;
  /** Never shown in a log, an error, `inspect` or `toJSON`. */
  password?: string;
  database?: number;
  tls?: boolean | TlsConfig;
  /** In ms; default 5000. */
  connectTimeout?: number;
  /** Of every command and publish, in ms; default 5000. */
  commandTimeout?: number;
  /** TCP keep-alive, in ms; default 30 000. */
  keepAlive?: number;
  /** A link without an answer for this long is replaced, in ms; default 5000. */
  heartbeat?: number;
  /** Wait until the server has loaded its data set; default true. */
  enableReadyCheck?: boolean;
  /** As shown by `CLIENT LIST`. */
  connectionName?: string;
  /** `connect` resolves at once; the connection is made by the first use. Default false. */
  lazyConnect?: boolean;
  /** @deprecated Has no meaning here; accepted with a `warning`. */
  poolSize?: number;
  /** @deprecated Has no meaning here; accepted with a `warning`. */
  maxRetriesPerRequest?: number | null;
  /** @deprecated Has no meaning here; accepted with a `warning`. */
  retryDelayOnFailover?: number;
}

/** TLS to the server. Certificates and keys are PEM. */
export interface TlsConfig {
  ca?: string | Uint8Array | (string | Uint8Array)[];
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  /** The name the certificate must have; default: the host. */
  servername?: string;
  /** Default true. */
  rejectUnauthorized?: boolean;
}

/** Size limits of events that are published; beyond: `EVENT_TOO_LARGE`. */
export interface ValidationConfig {
  /** The whole event as JSON, in bytes; default 1 MiB. */
  maxEventBytes?: number;
  /** `data` as JSON, in bytes; default 512 KiB. */
  maxDataBytes?: number;
}

/** How publishes are gathered and bounded. */
export interface PerformanceConfig {
  /** Publishes handed over at once, before the end of the tick; default 256. */
  batchSize?: number;
  /** How long publishes are gathered, in ms; default 0: until the end of the tick. */
  batchInterval?: number;
  /** How often a publish that was `not_sent` is tried again within its timeout; default 0. */
  maxRetries?: number;
  /** Before each such retry, in ms; default 100. */
  retryDelay?: number;
  /** Unanswered publishes; beyond: `QUEUE_FULL` at once. Default 100 000. */
  maxInFlight?: number;
  /** In bytes; default 64 MiB. */
  maxInFlightBytes?: number;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/**
 * Any logger with these four methods: console, winston, pino. It is called with a message and an
 * object of fields (for pino, which is told by its `bindings()`, with the fields first).
 */
export interface Logger {
  // biome-ignore lint/suspicious/noExplicitAny: loggers differ in their parameters
  debug(...args: any[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: loggers differ in their parameters
  info(...args: any[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: loggers differ in their parameters
  warn(...args: any[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: loggers differ in their parameters
  error(...args: any[]): unknown;
}

/** A validator of the Standard Schema specification (zod, valibot, arktype, …). */
// biome-ignore lint/suspicious/noExplicitAny: a validator of anything
export interface StandardSchemaV1<Input = any, Output = any> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (
      value: unknown,
    ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a validator answers: a value, or the issues. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardSchemaIssue[] };

/** One fault found by a validator. */
export interface StandardSchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

// ---------------------------------------------------------------------------------------- client

export type ClientState = 'idle' | 'connecting' | 'ready' | 'reconnecting' | 'draining' | 'closed';

/** A connection of a client: one publishes, one is subscribed. */
export type LinkName = 'publisher' | 'subscriber';

/** What a client announces; no listener is ever required. */
export interface ClientEvents {
  /** Connected, and every subscription confirmed. */
  ready: [];
  /** An attempt to connect failed; the next one follows after `delay` ms. */
  reconnecting: [{ link: LinkName; attempt: number; delay: number; error: EventBusError }];
  /** A connection that was up is lost; both tell when the server goes. */
  disconnected: [{ link: LinkName; error: EventBusError }];
  /** After `disconnect`; the last event. */
  closed: [];
  /** A handler failed for good, or a fault with no call to reject. Logged when nobody listens. */
  error: [error: EventBusError];
  /** Live events between `from` and `to` (ISO 8601) may have been missed. Comes before `ready`. */
  gap: [{ from: string; to: string; patterns: string[]; recovered: number; complete: boolean }];
  /** A circuit breaker changed; `subscription` is the id. */
  circuit: [{ subscription: string; state: 'open' | 'half-open' | 'closed' }];
  /** Something to put right; also logged. */
  warning: [{ code: string; message: string }];
}

export interface WaitOptions {
  /** In ms; 0 or more. */
  timeout?: number;
  /** Ends the wait with `ABORTED`. */
  signal?: AbortSignal;
}

/**
 * A client of the bus.
 *
 * The process is kept alive while a returned promise is unsettled or a subscription or iterator
 * exists, and not otherwise. A client that is dropped without either is collected.
 *
 * @typeParam Events maps event types to payloads.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export declare class EventBusClient<Events = Record<string, any>> {
  /**
   * Does no I/O.
   * @throws ValidationError `INVALID_CONFIG`, naming the path of the bad field.
   */
  constructor(config?: EventBusConfig);

  /** Unique per client. */
  readonly instanceId: string;
  readonly serviceName: string;
  readonly state: ClientState;

  /**
   * Resolves when ready. Concurrent calls share one attempt. Called implicitly by the first publish
   * or subscribe.
   *
   * Rejects after `timeout` (default `redis.connectTimeout`) with the last cause, such as
   * `CONNECTION_REFUSED`, else `CONNECT_TIMEOUT`; at once with `AUTH_FAILED`, `TLS_FAILED`,
   * `NOT_MASTER` or `INVALID_CONFIG` (a server that `requireNoEviction` refuses); the client then goes on trying in the background.
   * After `disconnect`: `CLOSED`.
   */
  connect(options?: WaitOptions): Promise<void>;

  /**
   * Flushes publishes, lets running handlers finish (which may still publish, unless `inherit` is
   * false), and closes. After `timeout` (default 10 000) what
   * is left is aborted. Idempotent: the same promise each time. A closed client stays closed.
   * Awaited inside a handler, it waits for that handler until `timeout`.
   */
  disconnect(options?: { timeout?: number }): Promise<void>;
  /** Alias of {@link disconnect}. */
  close(options?: { timeout?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;

  /** Whether `state` is `'ready'`. */
  isConnected(): boolean;

  /** Resolves in state `ready`. Rejects after `timeout` with `CONNECT_TIMEOUT`, or `CLOSED`. */
  waitUntilReady(options?: WaitOptions): Promise<void>;

  /**
   * Publishes one event. Never throws synchronously. Delivery is at most once; the promise resolves
   * when the server has answered.
   *
   * Rejects with `INVALID_TYPE`, `INVALID_DATA`, `INVALID_OPTIONS`, `EVENT_TOO_LARGE` (nothing
   * sent), `QUEUE_FULL`, `CLOSED`, `ABORTED`, `PUBLISH_TIMEOUT`, `CONNECTION_LOST` or what the
   * server said; `error.outcome` tells what became of it. While reconnecting it waits until its
   * timeout, then rejects with outcome `not_sent`.
   */
  publish<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult>;

  /**
   * Publishes many in one pipeline. Resolves, in order, to what became of each; rejects only if
   * `items` or `options` are wrong as a whole. `options` are the defaults of all items.
   */
  publishBatch(
    items: readonly PublishItem<Events>[],
    options?: PublishOptions,
  ): Promise<PromiseSettledResult<PublishResult>[]>;

  /** As `publish`, to the `broadcast` channel; type patterns that match see it too. */
  broadcast<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult>;

  /**
   * Calls `handler` once per matching event. Patterns are Redis globs over event types (`*` any run,
   * `?`, `[a-z]`, `[^a]`, `\`); one that starts with `room:` or `user:`, or is `broadcast`, addresses
   * those channels. Resolves when the server has confirmed it. Rejects, leaving nothing behind, with
   * `INVALID_PATTERN`, `INVALID_OPTIONS`, `SUBSCRIBE_DENIED`, `CLOSED`, or `COMMAND_TIMEOUT` after
   * `redis.commandTimeout`.
   */
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<PatternEvent<Events, P>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /** Ends a subscription by its id; false if there is none. */
  unsubscribe(id: string): Promise<boolean>;

  /** One subscription over the types that a projection declares. */
  subscribeAll(
    projection: Projection<EventOf<Events>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /** The events of a pattern as an async iterator; subscribed from this call on. */
  events<const P extends string | readonly string[]>(
    pattern: P,
    options?: EventsOptions,
  ): EventIterator<PatternEvent<Events, P>>;

  /** Never rejects; answers within 1 s. */
  healthCheck(): Promise<HealthReport>;

  /** Counters since the client was made; also of a closed client. */
  getStats(): Stats;

  /**
   * This client's subscriptions, iterators included: all, or those that name exactly this pattern.
   * @throws ValidationError `INVALID_PATTERN`
   */
  subscriberCount(pattern?: string): number;

  on<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this;
  once<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents[K]) => unknown,
  ): this;
  off<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this;

  /** Service name, mode, state and instance id; never a secret. */
  toJSON(): { serviceName: string; mode: string; state: ClientState; instanceId: string };
}

// ------------------------------------------------------------------------------------- watching

/** Percentiles, in ms. */
export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** Counters of a client, kept in Rust. */
export interface Stats {
  eventsPublished: number;
  /** Events that came in, before filters and queues. */
  eventsReceived: number;
  /** Handler calls that succeeded. */
  eventsDelivered: number;
  /** Events whose last attempt failed. */
  eventsFailed: number;
  eventsRetried: number;
  eventsDeadLettered: number;
  /** Dropped by a full queue, an open circuit, or a subscription that ended. */
  eventsDropped: number;
  eventsLost: number;
  eventsSkipped: number;
  /** Messages that were not events. */
  eventsForeign: number;
  messagesRecovered: number;
  claimsRenewed: number;
  /** Handler calls that failed, retries included. */
  handlerErrors: number;
  /** Handlers that run on after their timeout. */
  zombieHandlers: number;
  reconnections: number;
  activeSubscriptions: number;
  patternSubscriptions: number;
  /** Publishes without an answer. */
  inFlight: number;
  /** failed / (delivered + failed); 0–1. */
  errorRate: number;
  /** Over the last 10 s. */
  messagesPerSecond: number;
  /** Publish to handler, in ms. */
  averageLatency: number;
  /** Publish to handler. */
  latency: Percentiles;
  /** How long handlers ran. */
  handlerDuration: Percentiles;
  mode: 'memory' | 'redis-only' | 'local-only' | 'hybrid';
  /** In ms since the client was made. */
  uptime: number;
  /** Bytes held by events that wait. */
  memory: number;
}

/** One connection, as `healthCheck` sees it. */
export interface ConnectionHealth {
  /** `stale`: connected, but without an answer for several heartbeats. */
  status: 'up' | 'stale' | 'down';
  /** Since its last successful round trip, in ms; null if there was none. */
  lastRoundTripAge: number | null;
  /** Why it is down, or was last. */
  error: { code: string; message: string } | null;
  /** Patterns that the server refuses. */
  refused: string[];
  [extra: string]: unknown;
}

/** The health of a client. */
export interface HealthReport {
  /** `unhealthy`: no usable link; `degraded`: a part is stale or refused. */
  status: 'healthy' | 'degraded' | 'unhealthy';
  state: ClientState;
  mode: Stats['mode'];
  /** Of a round trip to the server, in ms; null without one. */
  latency: number | null;
  /** What the server says of itself; null in memory mode or without an answer. */
  redis: {
    connected: boolean;
    version?: string;
    role?: string;
    maxmemoryPolicy?: string;
    [extra: string]: unknown;
  } | null;
  /** By name. */
  connections: Record<string, ConnectionHealth>;
  /** How long JavaScript has left a finished batch waiting, in ms. */
  eventLoop: { blockedMs: number };
  warnings: { code: string; message: string }[];
  [extra: string]: unknown;
}

// ---------------------------------------------------------------------------------------- errors

/** Every code of an error, in the order in which the engine lists them. */
export declare const ERROR_CODES: readonly [
  'ERR_BUS_CONNECTION_REFUSED',
  'ERR_BUS_CONNECTION_LOST',
  'ERR_BUS_AUTH_FAILED',
  'ERR_BUS_PERMISSION_DENIED',
  'ERR_BUS_SUBSCRIBE_DENIED',
  'ERR_BUS_NOT_MASTER',
  'ERR_BUS_TLS_FAILED',
  'ERR_BUS_SERVER_MAX_CLIENTS',
  'ERR_BUS_SERVER_LOADING',
  'ERR_BUS_SERVER_BUSY',
  'ERR_BUS_SERVER_ERROR',
  'ERR_BUS_SERVER_OOM',
  'ERR_BUS_WRONG_TYPE',
  'ERR_BUS_INVALID_CONFIG',
  'ERR_BUS_INVALID_TYPE',
  'ERR_BUS_INVALID_PATTERN',
  'ERR_BUS_INVALID_DATA',
  'ERR_BUS_INVALID_OPTIONS',
  'ERR_BUS_INVALID_EVENT',
  'ERR_BUS_EVENT_TOO_LARGE',
  'ERR_BUS_NO_STREAM',
  'ERR_BUS_CONSUMER_IN_USE',
  'ERR_BUS_HANDLER_FAILED',
  'ERR_BUS_HANDLER_TIMEOUT',
  'ERR_BUS_PUBLISH_TIMEOUT',
  'ERR_BUS_CONNECT_TIMEOUT',
  'ERR_BUS_COMMAND_TIMEOUT',
  'ERR_BUS_ABORTED',
  'ERR_BUS_QUEUE_FULL',
  'ERR_BUS_NOT_REPLICATED',
  'ERR_BUS_CLOSED',
  'ERR_BUS_INTERNAL',
];

/** A stable code; see {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

export type ErrorCategory =
  | 'connection'
  | 'validation'
  | 'handler'
  | 'timeout'
  | 'resource'
  | 'internal';

/**
 * What became of a publish that failed. `rejected`: refused by the server, not delivered.
 * `not_sent`: never written. `unknown`: written without an answer, so it may have been delivered.
 */
export type Outcome = 'rejected' | 'not_sent' | 'unknown';

/** What an error is made of beside its code and message. */
export interface ErrorDetails {
  cause?: unknown;
  outcome?: Outcome;
  path?: string;
}

/**
 * The base of all errors of the bus. `instanceof` holds across duplicate installs of the package.
 * The stack starts at the line that called the bus.
 */
export declare class EventBusError extends Error {
  constructor(code: ErrorCode, message: string, details?: ErrorDetails);
  readonly code: ErrorCode;
  readonly category: ErrorCategory;
  /** Whether the same call can succeed later without a change. */
  readonly retryable: boolean;
  /** Of a publish: what became of it. */
  readonly outcome?: Outcome;
  /** Of bad input: the field, such as `redis.tls.ca`. */
  readonly path?: string;
  toJSON(): Record<string, unknown>;
}

/** The link to the server, or what the server says of itself. */
export declare class ConnectionError extends EventBusError {}
/** Input that was refused before any I/O. */
export declare class ValidationError extends EventBusError {}
/** A handler failed; `cause` is what it threw. */
export declare class HandlerError extends EventBusError {}
/** A deadline passed, or a signal aborted. */
export declare class TimeoutError extends EventBusError {}
/** A bound was reached, here or on the server. */
export declare class ResourceError extends EventBusError {}

/** Thrown by a handler: do not try this event again. */
export declare class NonRetryableError extends HandlerError {
  constructor(message?: string, options?: { cause?: unknown });
}

/** Thrown by a handler: try again after `delay` ms, if an attempt is left. */
export declare class RetryLater extends HandlerError {
  constructor(delay: number, message?: string, options?: { cause?: unknown });
  readonly delay: number;
}

// ----------------------------------------------------------------------------------------- tools

/** Checks events by the rules of `publish`; each method throws a `ValidationError` or returns. */
export declare class EventValidator {
  /** @throws ValidationError `INVALID_CONFIG` */
  constructor(limits?: ValidationConfig);
  /** The whole event, its sizes included: `INVALID_EVENT`, `INVALID_TYPE`, `EVENT_TOO_LARGE`, … */
  validateEvent(event: unknown): void;
  /** `INVALID_TYPE` */
  validateEventType(type: unknown): void;
  /** `INVALID_EVENT` */
  validateMetadata(metadata: unknown): void;
  /** ISO 8601 with a time zone: `INVALID_EVENT` */
  validateTimestamp(timestamp: unknown): void;
  /** The event as JSON: `EVENT_TOO_LARGE`, `INVALID_DATA` */
  validateEventSize(event: unknown): void;
  /** The data as JSON: `EVENT_TOO_LARGE`, `INVALID_DATA` */
  validateDataSize(data: unknown): void;
  /**
   * A deep copy as JSON would have it, without the keys `__proto__`, `constructor` and `prototype`
   * and with control characters (but tab and line breaks) removed from texts. `INVALID_DATA`
   */
  sanitize<T>(value: T): T;
}

/** Escapes what is special in a pattern, so that it matches `text` alone. `INVALID_PATTERN` */
export declare function escapePattern(text: string): string;
