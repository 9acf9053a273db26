/// <reference lib="esnext.disposable" />

/*
 * The public contract of oxbus. All durations are milliseconds and all sizes bytes, unless a name
 * says otherwise. There are two kinds of delivery, and the subscriber chooses:
 *
 * Live, without a `group`: at most once. An event published while a subscriber is disconnected does
 * not reach it, and every loss that can be known of is counted or announced.
 *
 * Durable, with a `group`, for types that a configured stream stores: at least once. An event whose
 * publish resolved is handled by each group, or ends among its dead letters, also across restarts
 * and crashes of its consumers; a consumer that dies, or that loses its claim, makes an event come
 * twice, so handlers must bear that. It is lost only where the server loses it or the stream is
 * trimmed, with three exceptions: with `deadLetter.enabled: false` what cannot be handled is gone;
 * dead letters beyond `deadLetter.maxLength` are removed, the oldest first; and a group that did not
 * exist yet when an event was published gets it only if it starts before it (`from`, `'new'` by
 * default).
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

/**
 * What is known of an event beside its payload. Missing fields of foreign messages are filled in.
 */
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
  /** What the event is about; `orderBy: 'key'` keeps the order of events that share it. */
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

/**
 * What arrives of a payload: the published value as JSON has it. A `Date`, and whatever else has `toJSON`, arrives as what that
 * returns; a `Map`, a `Set` and an `Error` as an object without members; functions, symbols and what is undefined do not
 * arrive; `void` arrives as null. A type that JSON can hold as it is stays itself.
 */
export type Jsonify<T> = Collapsed<T, Arrived<T>>;

/** The first of two types that say the same. */
type Collapsed<T, A> = [T] extends [A] ? ([A] extends [T] ? T : A) : A;

/** A payload that is none. */
// biome-ignore lint/suspicious/noConfusingVoidType: a map may declare one so
type NoPayload = void | undefined;

/** What JSON leaves out, or refuses. */
type Unheld =
  | symbol
  | bigint
  | ((...args: never[]) => unknown)
  | (abstract new (
      ...args: never[]
    ) => unknown);

/** Objects of which JSON holds no member. */
type Emptied =
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | Error
  | ArrayBuffer
  | RegExp
  | Promise<unknown>;

type Arrived<T> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? T
    : T extends string | number | boolean | null
      ? T
      : T extends NoPayload
        ? null
        : T extends Unheld
          ? never
          : T extends { toJSON(...args: never[]): infer R }
            ? Arrived<R>
            : T extends Emptied
              ? Record<string, never>
              : T extends readonly unknown[]
                ? { [I in keyof T]: Arrived<T[I]> }
                : T extends object
                  ? ArrivedMembers<T>
                  : never;

type ArrivedMembers<T> = {
  [K in keyof T as K extends symbol
    ? never
    : Exclude<T[K], undefined> extends Unheld
      ? never
      : K]: Arrived<Exclude<T[K], undefined>>;
};

/**
 * The map of what arrives, of a map of what is published: each payload as {@link Jsonify} has it. A map whose payloads JSON can
 * hold as they are stays itself.
 */
export type ReceivedEvents<Events> = Collapsed<Events, { [K in keyof Events]: Jsonify<Events[K]> }>;

/** The types of a map whose payload is `void`: they are published without data, and arrive with null. */
export type VoidType<Events> =
  string extends EventType<Events>
    ? never
    : {
        [K in EventType<Events>]: 0 extends 1 & Events[K]
          ? never
          : [Events[K]] extends [never]
            ? never
            : [Events[K]] extends [NoPayload]
              ? K
              : never;
      }[EventType<Events>];

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

/** The type of an argument that no event can match: the compiler shows it in its message. */
export interface NotAPattern<P> {
  readonly 'is neither an event type of the map nor a pattern': P;
}

/** A pattern, or the reason why it is none. What the compiler does not know as one text, is taken for one. */
type CheckedPattern<Events, P> = P extends string
  ? // biome-ignore lint/complexity/noBannedTypes: a template such as `photo.${string}` is the key of an index signature
    {} extends Record<P, 1>
    ? P
    : P extends EventType<Events> | `room:${string}` | `user:${string}` | 'broadcast'
      ? P
      : P extends `${string}${'#' | '>' | '{' | '}'}${string}`
        ? NotAPattern<P>
        : P extends `${string}${'*' | '?' | '[' | '\\'}${string}` | `system.${string}`
          ? P
          : NotAPattern<P>
  : P extends readonly unknown[]
    ? { readonly [I in keyof P]: CheckedPattern<Events, P[I]> }
    : P;

/**
 * What may be given as a pattern of event types. A literal one that has no special character must be a type of the map,
 * `room:…`, `user:…`, `broadcast` or `system.…`; `#`, `>` and `{…}` of other systems mean nothing here. Patterns of channels
 * (`by: 'channel'`) are not checked, nor is what only a running program knows.
 */
export type PatternOf<Events, P extends string | readonly string[]> = P &
  (EventType<Events> | readonly EventType<Events>[] | CheckedPattern<Events, P>);

// -------------------------------------------------------------------------------------- publish

/** Options of `publish` and its kin. Unknown keys: `INVALID_OPTIONS`. */
export interface PublishOptions {
  /** The id of the event, 1–512 characters; default: a new UUIDv7. */
  id?: string | undefined;
  /** When it happened: ISO 8601 with a time zone, ms since 1970, or a Date. Default: now. */
  timestamp?: string | number | Date | undefined;
  /** Default: `serviceName`. */
  source?: string | undefined;
  /** Default: inherited from the event being handled, else new. */
  correlationId?: string | undefined;
  /** Default: the id of the event being handled, else none. */
  causationId?: string | undefined;
  userId?: string | undefined;
  organizationId?: string | undefined;
  /** W3C trace context. */
  traceparent?: string | undefined;
  /** W3C trace context. */
  tracestate?: string | undefined;
  /** Further metadata, JSON; cannot replace the fields of {@link EventMetadata}. */
  metadata?: Record<string, unknown> | undefined;
  /** What the event is about; `orderBy: 'key'` and `queue.overflow: 'latest-per-key'` go by it. */
  key?: string | undefined;
  /**
   * The name of the configured stream to store it in, instead of the first one whose `events`
   * match; another name: `NO_STREAM`. `false`: store it nowhere, publish it live only.
   */
  stream?: string | false | undefined;
  /**
   * Store and publish it only if no event of this `id` was stored within `ttl` (default 120 000 for
   * `true`); a duplicate resolves with the first one's `messageId` and `duplicate: true`, its other
   * fields, such as `timestamp`, being those of this call. Needs `id`, and a stream.
   */
  deduplicate?: boolean | { ttl?: number | undefined } | undefined;
  /**
   * `true`: it must be stored. Where no configured stream stores it, the publish rejects with `NO_STREAM` before anything
   * is sent; so does one to a room or a user without a `stream`. `false`: what the configuration says of its type
   * ({@link EventBusConfig.durable}) does not hold for it. Default: the configuration. `true` is not together with
   * `stream: false` or `localOnly` (`INVALID_OPTIONS`).
   */
  durable?: boolean | undefined;
  /**
   * The channels that this event is published on, each behind the prefix of its wire, instead of the channel of its type or of
   * those that the rules of its wire name; 1–64, each of 1–1024 bytes without control characters. Not together with a room, a
   * user or `broadcast`, not a channel of those, and not in wires whose messages do not say their type (`INVALID_OPTIONS`
   * before anything is sent). A subscription by type hears those that its patterns match, or that the rules of its
   * wire subscribe to; another asks for them with `by: 'channel'`. One that hears several gets the event for each, unless
   * several wires are read; in hybrid mode this client's own get it for the first. In streams nothing changes.
   */
  channels?: readonly string[] | undefined;
  /**
   * How many replicas must have it, 0–100; needs a stream. Fewer within the timeout:
   * `NOT_REPLICATED` with outcome `unknown` and the `messageId`, as the event is stored. Memory mode
   * has no replicas: the option is checked, and the publish resolves without waiting for any.
   */
  replicas?: number | undefined;
  /**
   * Hybrid mode, else `INVALID_OPTIONS`: only this client's own handlers get it. It is stored nowhere, so not with
   * `redisOnly`, a `stream`, `deduplicate`, `replicas` or `durable: true`.
   */
  localOnly?: boolean | undefined;
  /**
   * Hybrid mode, else `INVALID_OPTIONS`: it goes to Redis, and this client's own live handlers do not get it.
   * Its groups do.
   */
  redisOnly?: boolean | undefined;
  /** Deadline of the whole call, in ms; default: `redis.commandTimeout`. */
  timeout?: number | undefined;
  /** Ends the call with `ABORTED`; `outcome` tells whether the event may have been sent. */
  signal?: AbortSignal | undefined;
}

/** Options of `publishToRoom`. */
export interface RoomPublishOptions extends PublishOptions {
  /**
   * Members who do not get it, at most 1000: a client that has joined the room for none but these skips
   * it, and counts it in `eventsSkipped`. Patterns of channels see it all the same.
   */
  except?: readonly string[] | undefined;
}

/** Options of `request`. Unknown keys: `INVALID_OPTIONS`. */
export interface RequestOptions
  extends Pick<
    PublishOptions,
    | 'correlationId'
    | 'causationId'
    | 'userId'
    | 'organizationId'
    | 'traceparent'
    | 'tracestate'
    | 'metadata'
  > {
  /**
   * For how long to wait for the reply, in ms, connecting included; an integer from 1 to 2 147 483 647. Default 5000. Then the
   * request rejects with `REQUEST_TIMEOUT`, or the iterator ends.
   */
  timeout?: number | undefined;
  /** Ends the wait with `ABORTED`, or the iterator, and aborts the signal of the handler. */
  signal?: AbortSignal | undefined;
  /** Whether all responders are asked; default false. */
  all?: boolean | undefined;
}

/** Options of `respond`. Unknown keys: `INVALID_OPTIONS`. */
export interface RespondOptions {
  /** Handlers running at once, 1–50 000; default 256. */
  concurrency?: number | undefined;
  /** Requests that wait for a handler, 0–50 000; default 1000. More are refused at once with `QUEUE_FULL`. */
  maxQueued?: number | undefined;
  /**
   * Time for one handler call, in ms; default 30 000, 0: none. Then `ctx.signal` aborts, the requester gets
   * `HANDLER_TIMEOUT`, and what the handler returns later is ignored.
   */
  timeout?: number | undefined;
  /** Ends the responder, as `unsubscribe` does. */
  signal?: AbortSignal | undefined;
}

/** What is replied to requests of a type, as it arrives: unknown without a map of replies. */
export type ReplyOf<Replies, K> = K extends keyof Replies ? Jsonify<Replies[K]> : unknown;

/** A handler of requests: what it returns, or its promise resolves to, is the reply. */
export type RequestHandler<E, Replies = unknown, K = string> = (
  event: E,
  ctx: HandlerContext,
) => K extends keyof Replies ? Replies[K] | RawJson | Promise<Replies[K] | RawJson> : unknown;

/** What one of several responders has answered. */
export type Answer<R = unknown> =
  | { responder: string; data: R; error?: undefined }
  /** What its handler has failed with, as `request` rejects with it; `REQUEST_TIMEOUT` where it has not answered in time. */
  | { responder: string; error: Error; data?: undefined };

/**
 * The answers to a request to all responders, in the order in which they come, at most one of each: those that are listed
 * when the request is made. It is made at once; answers that nobody has taken wait. It ends when all have answered, at the
 * timeout, on an abort, and by `break`, `return()` and dispose. A responder that has left meanwhile gives no answer.
 *
 * `next()` rejects where there is none to wait for: with `NO_RESPONDERS`, `CLOSED`, and what else the call is refused with. In
 * hybrid mode it does so behind the answers of this client's own responders when the server cannot be asked for others.
 */
export interface Answers<R = unknown> extends AsyncIterableIterator<Answer<R>>, AsyncDisposable {
  next(): Promise<IteratorResult<Answer<R>, undefined>>;
  return(): Promise<IteratorResult<Answer<R>, undefined>>;
  throw(error?: unknown): Promise<IteratorResult<Answer<R>, undefined>>;
}

/** One handler that answers requests. */
export interface Responder extends AsyncDisposable {
  /** Unique; errors and answers name it. */
  readonly id: string;
  readonly type: string;
  /**
   * Ends it: no handler begins from this call on, and requests that wait go to another responder. Handlers that run still
   * answer; `wait` also waits for them. False if it had ended. Resolves when the server knows, or could not be told: then it is
   * listed for up to 30 s, and answers no more.
   */
  unsubscribe(options?: { wait?: boolean | undefined }): Promise<boolean>;
}

/** Options of `joinRoom` and `leaveRoom`. */
export interface MemberOptions {
  /**
   * 1–1024 bytes of any characters; default of `joinRoom`: `{serviceName}:{instanceId}`, of `leaveRoom`: all members of this
   * client. `undefined`, given explicitly to `leaveRoom`, is `INVALID_OPTIONS`.
   */
  member?: string | undefined;
}

/** One item of `publishBatch`: an event of the map, with its own options. */
export type PublishItem<Events, K extends EventType<Events> = EventType<Events>> = K extends unknown
  ? { type: K; data: (K extends VoidType<Events> ? null : Events[K]) | RawJson } & PublishOptions
  : never;

/**
 * What became of an event on the server: it has confirmed it, it has refused it, it never got it, it got it and
 * has not answered, or the event was not meant for it (`localOnly`).
 */
export type RemoteOutcome = 'resolved' | Outcome | 'skipped';

/** What became of a publish that succeeded. */
export interface PublishResult {
  eventId: string;
  type: string;
  /**
   * The channel it was published on, prefix included; of `channels` the first. Where the wire has rules for channels, it is the name that its type would
   * have without them.
   */
  channel: string;
  /** The event's timestamp: ISO 8601. Of a duplicate that of this call, not of the stored event. */
  timestamp: string;
  /**
   * How many subscriptions the server (or the memory broker) handed it to; for information. With several wires it counts all of
   * them together. With `pubsub: 'sharded'`: how many
   * clients hear its lane, whether they want it or not.
   */
  receivers: number;
  /**
   * How many live subscriptions of this client have taken it at once; 0 outside hybrid mode. Those whose filter
   * it does not pass are not counted.
   */
  local: number;
  /** Hybrid mode, else absent: what became of it on the server. */
  remote?: RemoteOutcome;
  /** The stream that stores it; absent if none does. */
  stream?: string;
  /** Of a stored event, else absent: the id of its entry, such as `1763717908123-0`. */
  messageId?: string;
  /**
   * With `deduplicate`, else absent: whether it was stored before; then nothing was published.
   */
  duplicate?: boolean;
}

// ------------------------------------------------------------------------------------ subscribe

/** Options of `subscribe`. Unknown keys: `INVALID_OPTIONS`. */
export interface SubscribeOptions {
  /**
   * The consumer group, 1–512 characters: makes the subscription durable. Each group handles every
   * event; the subscriptions of a group, over all clients, share them. What happens to one that
   * fails is up to `maxRetries` and `deadLetter`.
   *
   * Patterns and filters of a group should agree over its clients: which client gets an event is
   * not theirs to decide. An event that no pattern of that client takes is left to one whose
   * patterns do; it is dead-lettered as `unhandled` only when no client has taken it for two
   * leases, for instance because all its handlers are paused or their circuits open. A client gives
   * up nothing until its own subscriptions are that old, so a worker may take its time to make them.
   *
   * `group: undefined`, given explicitly, is `INVALID_OPTIONS`: a subscription that lost its group would be live.
   */
  group?: string;
  /** With `group`: the streams to read; default: those that store what the patterns match. */
  streams?: string | readonly string[] | undefined;
  /**
   * With `group`: where a group starts that does not exist yet; default: as `consumerGroups` says,
   * else `'new'`.
   *
   * In a group that exists it counts for patterns that are new to the group (no subscription has
   * had them within the last hour), once. It says what the subscription gets of the events that
   * the group has read past because no pattern took their type: with `'new'` none; with a message
   * id or a `Date` those behind it; with `'beginning'`, and by default, all that the group knows:
   * ten minutes, and a day for what was stored while it had no living consumer. The rest is given
   * up. Events that the group has not read yet come in any case. Of two clients that come with
   * the same new pattern at once, one decides. Where `from` does not count, or not fully, a
   * `warning` `START_IGNORED` says why.
   */
  from?: StreamPosition | undefined;
  /**
   * With `group`: the name of this consumer, for a service that keeps its name over restarts.
   * Default `{serviceName}-{instanceId}`. While a consumer of that name lives in another client,
   * `subscribe` waits up to `redis.commandTimeout` for the name to become free, with `whenReady` as long as it takes,
   * then rejects with `CONSUMER_IN_USE`. The name of a process that was killed is free within 10 s. All subscriptions of a group in one client share the name, and so this
   * outcome: those that are not confirmed yet are refused together.
   */
  consumer?: string | undefined;
  /**
   * With `group`: `'key'` handles the events of a `metadata.key` one at a time and in order,
   * through retries, and keys in parallel; `'stream'` handles all strictly one at a time. Default
   * `'none'`. The order holds within one client. A call that timed out keeps its place until it
   * ends. All subscriptions of a group in one client share it.
   */
  orderBy?: 'none' | 'key' | 'stream' | undefined;
  /** Needs {@link BatchSubscribeOptions}. */
  batch?: undefined;
  /**
   * With `group`: for how long, from its start, the claim of a running handler is renewed; default
   * 600 000. Beyond it another consumer may get the event as well.
   */
  maxProcessing?: number | undefined;
  /** Handlers running at once; default 256, with `group` 16. */
  concurrency?: number | undefined;
  /**
   * Time for one handler call, in ms; default 30 000, 0: none. Then `ctx.signal` aborts and the
   * call counts as failed; what it returns later is ignored (`zombieHandlers`).
   */
  timeout?: number | undefined;
  /** Whether failed calls are tried again; default true. */
  retryOnError?: boolean | undefined;
  /**
   * Retries after the first attempt; default 3. With `group` the count survives restarts, and an
   * event that fails after the last is moved to the dead letters.
   */
  maxRetries?: number | undefined;
  /** The delays between attempts. */
  retry?: RetryOptions | undefined;
  /**
   * Whether this failure is tried again; default: all but `NonRetryableError` and
   * `ValidationError`. Must not throw; if it does, the default decides.
   */
  retryIf?: ((error: unknown) => boolean) | undefined;
  /** Off unless given; `true` takes the defaults. */
  circuitBreaker?: boolean | CircuitBreakerOptions | undefined;
  /**
   * Drops events before JavaScript wakes: a path into the event and the value it must equal (JSON
   * equality), an array meaning any of; a missing path is no match.
   * `{ 'data.status': 'failed', 'metadata.source': ['a', 'b'] }`
   *
   * With `group`, an event that all matching subscriptions of the client that got it filter out is
   * done with for the whole group, so the filters of its clients should agree.
   *
   * A condition that is `undefined`, and `filter: undefined` given explicitly, are `INVALID_OPTIONS`: they would let
   * everything pass.
   */
  filter?: Record<string, unknown>;
  /**
   * The bound of events that wait for a handler. Every drop is counted in `eventsDropped`. Not with
   * a `group`, which stops reading instead.
   */
  queue?: QueueOptions | undefined;
  /** Skips events that this client published; default false. Not with a `group`. */
  noEcho?: boolean | undefined;
  /**
   * Hybrid mode, else `INVALID_OPTIONS`: only events that this client publishes; nothing is asked of the server.
   * Default false. Not with a `group`.
   */
  localOnly?: boolean | undefined;
  /**
   * Wait for the confirmation as long as the client tries to connect, instead of `redis.commandTimeout`: for a server that
   * starts later than the service. It still rejects when the server refuses it, when `signal` aborts, and at `disconnect`.
   * Default false.
   */
  whenReady?: boolean | undefined;
  /** What patterns address: event types (default) or channels, without the prefix. */
  by?: 'type' | 'channel' | undefined;
  /** `'raw'` makes it {@link RawJson}, with {@link Raw} options. Default `'value'`: what `JSON.parse` makes of the data. */
  data?: 'value' | undefined;
  /** Ends the subscription when it aborts. */
  signal?: AbortSignal | undefined;
}

/** The options of a subscription whose handler gets {@link RawJson} as `event.data`, which nobody has parsed. */
export type Raw<O extends { data?: 'value' | undefined }> = Omit<O, 'data'> & { data: 'raw' };

/** An event whose data is JSON text. */
export type RawDataEvent<E> = E extends { data: infer D }
  ? Omit<E, 'data'> & { data: RawJson<D> }
  : never;

/** Options of a durable subscription. */
export interface GroupSubscribeOptions extends SubscribeOptions {
  group: string;
}

/** Options of a subscription to channels, whose patterns no event map knows. */
export interface ChannelSubscribeOptions extends SubscribeOptions {
  by: 'channel';
}

/** Options of a durable subscription whose handler gets several events at once. */
export interface BatchSubscribeOptions extends Omit<GroupSubscribeOptions, 'batch'> {
  /**
   * The handler gets an array of events, of its `size` at most, and settles them as one: they are
   * all acknowledged, or all fail. Retries are tried in batches of their own.
   */
  batch: BatchOptions;
}

/** How events are gathered for one call. */
export interface BatchOptions {
  /** 1–10 000. */
  size: number;
  /** For how long an incomplete batch waits for more, in ms, 0–60 000; default 0. */
  wait?: number | undefined;
}

/**
 * A place in a stream: `'new'` (behind its end), `'beginning'`, behind the entry of a message id
 * (`1763717908123-0`), or what was stored at a time or later.
 */
export type StreamPosition = 'new' | 'beginning' | (string & {}) | Date;

/** Delays between attempts: `initialDelay * multiplier ** (attempt - 1)`, at most `maxDelay`. */
export interface RetryOptions {
  /** In ms; default 1000. */
  initialDelay?: number | undefined;
  /** In ms; default 10 000. */
  maxDelay?: number | undefined;
  /** Default 2. */
  multiplier?: number | undefined;
  /** `'full'` (default): a random delay between 0 and the computed one. */
  jitter?: 'full' | 'none' | undefined;
}

/**
 * Stops calling a handler that fails too often. While open no attempt starts, retries wait, live
 * events are dropped and counted, and durable ones are kept and no more are read; half-open lets
 * one call through.
 */
export interface CircuitBreakerOptions {
  /** Default 50. */
  errorThresholdPercentage?: number | undefined;
  /** In ms from open to half-open; default 60 000. */
  resetTimeout?: number | undefined;
  /** Calls within the window before it may open; default 10. */
  minimumCalls?: number | undefined;
  /** In ms; default 10 000. */
  window?: number | undefined;
}

/** The bound of the events that wait for handlers, and what happens beyond it. */
export interface QueueOptions {
  /** Default 10 000. */
  maxEvents?: number | undefined;
  /** In bytes; default 64 MiB. */
  maxBytes?: number | undefined;
  /** Default `'drop-oldest'`. `'latest-per-key'` puts an event in the place of the waiting one
   * with the same `metadata.key`. */
  overflow?: 'drop-oldest' | 'drop-newest' | 'latest-per-key' | undefined;
}

/** Options of `events`: as a handler's, without those that only make sense for one. */
export type EventsOptions = Omit<
  SubscribeOptions,
  'timeout' | 'retryOnError' | 'maxRetries' | 'retry' | 'retryIf' | 'circuitBreaker' | 'batch'
>;

/** What a handler knows of its call. */
export interface HandlerContext {
  /**
   * Aborts when the handler's time is over, when its claim is lost to another consumer (reason
   * `ABORTED`), or when `disconnect` no longer waits for it.
   *
   * It is an ordinary AbortSignal: what an `abort` listener throws is not a failure of the handler.
   * Node throws it again as an uncaught exception, which by default ends the process. Listeners
   * must not throw, and an async one must not reject.
   */
  readonly signal: AbortSignal;
  /** From 1. With a `group` it goes on where a consumer that died has stopped. */
  readonly attempt: number;
  /** The pattern of the subscription that matched. */
  readonly pattern: string;
  /** The channel it came on, prefix included; of a stored event the one it belongs to. */
  readonly channel: string;
  /** With a `group`: the stream it comes from. */
  readonly stream?: string;
  /** With a `group`: the id of its entry in the stream. */
  readonly messageId?: string;
  /** With a `group`: the group. */
  readonly group?: string;
  /** With a `group`: how often the entry was handed out, this time included. */
  readonly deliveryCount?: number;
}

/** What a handler of a durable subscription knows of its call. */
export interface GroupContext extends HandlerContext {
  readonly stream: string;
  readonly messageId: string;
  readonly group: string;
  readonly deliveryCount: number;
}

/**
 * What a handler of batches knows of its call; `stream`, `messageId`, … are those of the first
 * event.
 */
export interface BatchContext extends GroupContext {
  /** Of the event of the batch that was tried most often. */
  readonly attempt: number;
  /** The stream of each event, in their order. */
  readonly streams: readonly string[];
  /** The message id of each event, in their order. */
  readonly messageIds: readonly string[];
}

/**
 * Called once per event. A returned promise is awaited; any other return value is ignored. Throwing
 * anything, or rejecting, fails this call alone and never reaches the process; what a listener on
 * `ctx.signal` throws does ({@link HandlerContext.signal}). It runs in no `AsyncLocalStorage` of the
 * publisher, the subscriber or another handler.
 */
export type EventHandler<E = BusEvent, C extends HandlerContext = HandlerContext> = (
  event: E,
  ctx: C,
) => unknown;

/**
 * Called with some events at once, as {@link EventHandler} otherwise. What it publishes inherits
 * from none of them.
 */
export type BatchHandler<E = BusEvent> = (events: E[], ctx: BatchContext) => unknown;

/** A subscription of a client, as `subscriptions()` tells it. */
export interface SubscriptionInfo {
  /** The `id` of the {@link Subscription}; `unsubscribe(id)` takes it. */
  id: string;
  /** As it was given. */
  pattern: string | string[];
  /** The consumer group of a durable subscription. */
  group?: string;
  /** The streams that a durable subscription reads. */
  streams?: string[];
  state: Subscription['state'];
}

/** A subscription. */
export interface Subscription {
  readonly id: string;
  /** As given to `subscribe`. */
  readonly pattern: string | readonly string[];
  /** The consumer group of a durable subscription. */
  readonly group?: string;
  readonly state: 'pending' | 'active' | 'paused' | 'closed';
  /**
   * Starts no handler until `resume`. Live events wait in the bounded queue; durable ones stay in
   * the stream, and those that were read stay claimed.
   */
  pause(): void;
  resume(): void;
  /**
   * Once resolved, no new call starts. With `wait` it resolves when running calls have ended too,
   * but the one it is called from (which `inherit: false` hides after the handler's first `await`).
   * Durable events that wait are handed back, for other consumers or a later subscription.
   * Resolves false if it was closed before.
   */
  unsubscribe(options?: { wait?: boolean | undefined }): Promise<boolean>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One object that handles several types, for `subscribeAll`. */
export interface Projection<E = BusEvent, C extends HandlerContext = HandlerContext> {
  subscribedTo(): readonly string[];
  handle(event: E, ctx: C): unknown;
}

/** One object that handles several types in batches, for `subscribeAll`. */
export interface BatchProjection<E = BusEvent> {
  subscribedTo(): readonly string[];
  handle(events: E[], ctx: BatchContext): unknown;
}

/**
 * The events of a pattern, in order. Bounded by `concurrency` here and by `queue` behind it.
 * Leaving the loop by `break`, `return` or a throw unsubscribes. It ends when the client
 * disconnects.
 *
 * With a `group` an event is acknowledged when `next` is called again. One that is not, as the loop
 * was left or the iterator disposed, is handed back, like those that wait behind it. `disconnect`
 * and `unsubscribe` wait up to 1 s for `next` to acknowledge the event in hand, and hand it back then.
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

/** A format that Oxbus knows: its own, those of five buses, and those of libraries. */
export type WireName =
  | 'oxbus'
  | 'campaign'
  | 'photo'
  | 'platform'
  | 'spine'
  | 'eventsource'
  | 'cloudevents'
  | 'nestjs'
  | 'graphql'
  | 'socket.io'
  | 'faststream';

/**
 * A format of your own, as data. It is checked when the client is made: `INVALID_CONFIG` names the path of what is wrong.
 *
 * Parts of an event: `'id'`, `'type'`, `'data'`, `'data.<path>'`, `'metadata.<name>'`, `'metadata'` (all members of it that
 * have no place of their own), and `'timestampMs'` (the timestamp as milliseconds since the Unix epoch). Places of a message
 * are names with dots between them, 8 at most; `'*'` at the end stands for the members of the object before it, and is for
 * `'data'` and `'metadata'` only. Without `stream`, stream entries have the fields of Oxbus.
 *
 * Of several wires, `stream` counts in the first one of `write`, and `keys` and `deadLetters` are those of the first format that has
 * them, of `write` and then of `read`. In memory mode all is checked, and has no effect but that dead letters are in a stream with the
 * name, and the bound, that `deadLetters` says.
 */
export interface WireMapping {
  fields: {
    /** Which place of a message holds what: 1–64 places. It must have one for `'data'`. */
    write: Readonly<Record<string, string | { readonly value: unknown }>>;
    /**
     * The place that each part of an event is read from, the other way round than `write`. Default: where it is written. A
     * timestamp is read as an ISO text or as milliseconds. Members that have no place are ignored.
     */
    read?: Readonly<Record<string, string>> | undefined;
  };
  /**
   * Where events go instead of the channel of their type, by the first rule that has their type, 1–64 rules; without one, to
   * their type. `to`: templates such as `'campaign:{data.campaignId}'`, with parts of the event in braces, each behind
   * `channelPrefix`. Where there are several, the event is published on each, needs a place for its `id`, and reaches a
   * handler once within 60 s. A part that is missing, empty, no text, number or truth value, or has control characters:
   * `INVALID_DATA` before anything is sent.
   */
  channels?: readonly WireChannels[] | undefined;
  /** The fields of stream entries; default: those of Oxbus, which are read in any case. */
  stream?: WireEntries | undefined;
  /** The names of keys; default: those of Oxbus. */
  keys?: WireKeys | undefined;
  /** Where dead letters are; default: in the stream that `deadLetter.suffix` names. */
  deadLetters?: WireDeadLetters | undefined;
}

/**
 * The fields of stream entries. Every entry has all fields that are written, empty where an event has not what is in them.
 *
 * Entries are read by groups, history, replay, gaps and dead letters. A field that is missing or empty is filled in as for a message: an
 * entry without an id has that of the entry, one without data has `null`. An entry without a type, with a field for data or metadata that
 * is no JSON, or without data but with fields that the format does not know, cannot be decoded.
 */
export interface WireEntries {
  /**
   * Which field holds what, 1–64 fields without a `.` in their names: a part of an event as text, `'data'` and `'metadata'` as JSON; `'message'`:
   * the live message, as `fields.write` says it; a text with parts in braces, such as `'orders/{data.orderId}'` (a part that is
   * missing: `INVALID_DATA` before anything is sent); or a constant. One field must be `'data'` or `'message'`. The
   * names `group` and `dlq-…` are Oxbus's own.
   */
  write: Readonly<Record<string, string | { readonly value: unknown }>>;
  /**
   * The place that each part of an event is read from: the name of a field, or a path in the JSON that it holds
   * (`'event.head.id'`). Default: where it is written; of a message, where `fields` says. A time is an ISO text or milliseconds.
   */
  read?: Readonly<Record<string, string>> | undefined;
}

/** The names of keys, as templates: `{prefix}` is `channelPrefix` of the client, and `{{` and `}}` are braces. */
export interface WireKeys {
  /**
   * The key of a stream, with `{stream}` for its name in the configuration: `'app:{stream}'`. The stream is called by its key
   * wherever Oxbus names it (`ctx.stream`, results, metrics); what is asked for by name takes either.
   */
  stream?: string | undefined;
  /**
   * The key of an event that `persistence` keeps, with `{id}`; default `'{prefix}event:{id}'`. In a Cluster `INVALID_CONFIG`: there
   * such a key is beside the history.
   */
  event?: string | undefined;
  /** The stream of all events that `persistence` keeps; default `'{prefix}history'`. */
  history?: string | undefined;
}

/**
 * Where dead letters are: in a stream, in a list, or in a stream with copies in a list. An entry moves in one step with its
 * acknowledgement. With `list` alone `bus.deadLetters` has what is in the list, also what other services have put there: such a letter has no
 * group, so it is replayed with `{ to: 'stream' }`.
 *
 * In a Cluster the names must be in the slot of the stream (`INVALID_CONFIG`): give the stream a tag, as in `{orders}`.
 */
export interface WireDeadLetters {
  /** The name of the stream, with `{stream}` once, which is the key of the stream (`keys.stream`), and `{prefix}`. */
  stream?: string | undefined;
  /**
   * Fields that a letter in the stream has besides those of its entry and `dlq-…`: `'messageId'`, `'stream'`, `'group'`, `'consumer'`,
   * `'attempts'`, `'retries'` (the attempts but the first), `'reason'`, `'error'` (JSON), `'error.name'`, `'error.message'`, `'error.stack'`,
   * `'error.code'`, `'time'` (ISO 8601, by the clock of the client), `'timeMs'`, or a constant. The name of a field of entries, also of Oxbus's
   * own, is `INVALID_CONFIG`.
   */
  fields?: Readonly<Record<string, string | { readonly value: unknown }>> | undefined;
  /** The name of the list, with `{stream}` once, which is the key of the stream (`keys.stream`), and `{prefix}`: `'dlq:{stream}'`. */
  list?: string | undefined;
  /**
   * Which place of a letter in the list, a JSON object, holds what: as for `fields`, and `'message'` (the event as a live message) and
   * `'fields'` (those of the entry, as texts). Letters of others are read from the same places. Oxbus adds the member `oxbus`, by
   * which a letter goes back as it was. Default: that of campaign's bus, `{ originalMessage, error: { message, stack, timestamp }, retryCount }`.
   */
  letter?: Readonly<Record<string, string | { readonly value: unknown }>> | undefined;
  /** Whether a new letter comes to the left end of the list (`LPUSH`) or to the right one; default `'left'`. */
  push?: 'left' | 'right' | undefined;
  /**
   * How many letters the list has at the most, exactly; 1–100 000, default 1000. Beyond it the oldest go. Where the list keeps
   * the letters, `deadLetter.maxLength` of the client goes before, and `deadLettersDropped` counts them.
   */
  maxLength?: number | undefined;
}

/** Where events of some types go. */
export interface WireChannels {
  /** Patterns of types. */
  events: string | readonly string[];
  /** Templates of channels. */
  to: string | readonly string[];
}

/** A format on Redis: that of a bus or a library, by its name, or one of your own. */
export type WireFormat = WireName | WireMapping;

/** A format on channels under a prefix of its own. */
export interface PrefixedWire {
  format: WireFormat;
  /** Before its channels, at most 256 bytes; default: `channelPrefix` of the client, else that of the format. */
  channelPrefix?: string | undefined;
}

/**
 * Several formats at once, so that a fleet can move from one to another while it runs; 1–8 in each list.
 *
 * Every subscription, room and user hears the channels of all formats of `read`, and every event is published once in each format of
 * `write`, in one step. An event that comes in several formats reaches each handler once: its id is known for 60 s. A
 * channel belongs to the format with the longest prefix that it begins with; where formats of `read` have the same prefix, the
 * first that can read a message does.
 *
 * Formats of `write` need prefixes of their own, and messages with an id (`INVALID_CONFIG` that names the format). An
 * event whose channel would begin with the prefix of another of them is `INVALID_DATA`. Entries of streams, dead
 * letters and kept events are written in the first format of `write`, and read in all formats of both lists. Their keys
 * are under `channelPrefix` of the client, by default that of the first format of `write`.
 */
export interface WireLists {
  read: readonly (WireFormat | PrefixedWire)[];
  write: readonly (WireFormat | PrefixedWire)[];
}

/** Configuration of a client. Unknown keys and bad values: `INVALID_CONFIG` naming the path. */
export interface EventBusConfig {
  /** Default: `SERVICE_NAME`, else the name of the package, else `'oxbus'`. */
  serviceName?: string | undefined;
  /**
   * Default: `'redis'` if there is an address, else `'memory'`. `'hybrid'` hands each event to this client's own
   * live handlers at once, also while Redis is away, and to those of others through Redis. `'socket.io'` is the client of a
   * hub, for live events; `oxbus/socket.io` has to be imported, and says what it has: {@link EventBusConfig.socketIO}.
   */
  mode?: 'redis' | 'memory' | 'hybrid' | 'socket.io' | undefined;
  /** The hub of mode `'socket.io'`, which takes beside it `serviceName`, `logger`, `logLevel` and `inherit`, and nothing else. */
  socketIO?: SocketIOConfig | undefined;
  /** A URL (`redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix://`) or its parts. Default: from the environment. */
  redis?: string | RedisConfig | undefined;
  /** Memory mode: clients of one realm with the same name share a broker; default `'default'`. */
  memory?: string | undefined;
  /**
   * Before every channel; default `''`, `'dreamnet:events:'` for the wire `'spine'`, and `'socket.io#/'` for `'socket.io'`, where it is
   * the key of the adapter, a `#`, and the namespace.
   */
  channelPrefix?: string | undefined;
  /**
   * The format of messages and stream entries on Redis; default `'oxbus'`. With that of another bus or library a service
   * hears its peers, and they hear it. Which field becomes which, what is filled in and what is lost: `docs/wires.md`.
   * Every client must be given the wire of its peers, or `{ read, write }` with several: messages of another format are counted
   * (`eventsForeign`).
   *
   * With `'eventsource'` nothing is published live: live subscriptions hear what the streams of the configuration get, and those that can
   * hear nothing there are refused (`NO_STREAM`); `data` must be an object and an event needs a `key`, its aggregate. Messages of `'graphql'` do not say their type: rooms, users and
   * broadcasts are refused (`INVALID_OPTIONS`), and so are `noEcho`, `persistence` and hybrid mode. With `'socket.io'` an event
   * goes to the clients of running Socket.IO servers: to those in the room that it is for, else to all of the namespace;
   * `data` and metadata nest 100 levels deep at most. An event that a format
   * cannot hold rejects with `INVALID_DATA` before anything is sent.
   *
   * In memory mode nobody else reads: the wire is checked, and the format is that of Oxbus.
   */
  wire?: WireFormat | WireLists | undefined;
  /**
   * Whether events are published live; default true. False: they are only stored, so a type that no
   * stream stores is refused (`NO_STREAM`), and so are live subscriptions, but for those that read from streams (`wire`).
   */
  pubsub?: boolean | undefined;
  /** Which types are stored, and where. The first one whose `events` match a type stores it. */
  streams?: readonly StreamConfig[] | undefined;
  /**
   * Which events must be stored: all (`true`), or those whose type matches one of these patterns. A publish of one that no
   * stream stores rejects with `NO_STREAM` before anything is sent, instead of being live only. Events for rooms and
   * users, and those with `stream: false`, `localOnly` or `durable: false`, say themselves that they are live. Default
   * false. Without it a client that publishes live only gets the `warning` `TYPE_NOT_STORED` when a group waits for
   * the type.
   */
  durable?: boolean | readonly string[] | undefined;
  /**
   * Makes the client an observer, which reads and administers; default false. By itself it writes nothing to Redis: it
   * makes and trims no stream, makes no group, and joins none. It finds the streams of other clients by
   * {@link Streams.list}, and what is asked about all streams (`deadLetters.list`, `streams.recover`, `replay` of a
   * pattern) is about these too. What is asked for by name changes what it says, such as `streams.trim`.
   *
   * Refused with `INVALID_OPTIONS`: every publish (an observer does not know which types the services store, and an
   * event that is only live would be missing in their streams), `subscribe` and `events` with a `group`, and `joinRoom`
   * (subscribe to `room:…` instead). `INVALID_CONFIG`: `consumerGroups` of a stream, mode `'hybrid'`, and no address.
   */
  observe?: boolean | undefined;
  /**
   * After this long without a renewal, which comes every third of it, the events of a consumer are
   * taken over by another; default 30 000. It belongs to the group: the first client sets it,
   * another value gives a `warning` `LEASE_DIFFERS`.
   */
  lease?: number | undefined;
  /**
   * After this long without being read or claimed again, an entry of a consumer of another program in the group is taken over,
   * in ms; 100–86 400 000, default 600 000, and never less than the lease. Such a consumer renews nothing, so this must be
   * longer than its slowest handler. What it has delivered counts for none of ours: the event begins with `ctx.attempt` 1.
   * It belongs to the group as `lease` does; another value gives a `warning` `FOREIGN_LEASE_DIFFERS`.
   */
  foreignLease?: number | undefined;
  /** Keeps every published event for `getEvent` and `getHistory`. Off unless given. */
  persistence?: PersistenceConfig | undefined;
  /** What becomes of stored events that cannot be handled. */
  deadLetter?: DeadLetterConfig | undefined;
  validation?: ValidationConfig | undefined;
  /** A validator per event type, checked on publish; its output replaces `data`. */
  schemas?: Schemas | undefined;
  /**
   * Also check received events; one that fails never reaches the handler. Default false. A durable
   * one goes to the dead letters at once, together with the batch that it is in.
   */
  validateOnReceive?: boolean | undefined;
  /**
   * What becomes of values in `data` that JSON changes without a word: `Map`, `Set`, `Error`, `Promise`, `RegExp` and `ArrayBuffer`
   * arrive as `{}`, typed arrays as `{"0":…}`, `NaN`, `Infinity` and invalid dates as null. A `Buffer` and what has a
   * `toJSON` arrive as that has them, and are no such values.
   *
   * `'lenient'`, the default: they are published so, and a `warning` `DATA_CHANGED` names each type and path once. It is
   * looked for in the first 100 events of a type and in one of 100 after them, for 1,000 types; a client gives 100 such
   * warnings. `'strict'`: the publish rejects with `INVALID_DATA`, with the `path` of the first one; every event is
   * looked at. In both, an `Error` that has members of its own is only found in events with another such value, or
   * with a null or an empty object.
   */
  json?: 'lenient' | 'strict' | undefined;
  /** Default of `SubscribeOptions.retry`. */
  retry?: RetryOptions | undefined;
  /** Whether events published by a handler inherit its correlation and causation; default true. */
  inherit?: boolean | undefined;
  /**
   * Where logs go. Default: the console, which writes `debug` and `info` to stdout and the rest to stderr; `'stderr'` and
   * `'stdout'` write all levels to one of them. `false` is `logLevel: 'silent'`.
   */
  logger?: Logger | 'stderr' | 'stdout' | false | undefined;
  /** The least level that is logged; default `'info'`. `'silent'`: nothing is, whatever happens. */
  logLevel?: LogLevel | 'silent' | undefined;
  /**
   * Refuse a server whose `maxmemory-policy` may delete keys; else `healthCheck` warns. Default
   * false.
   */
  requireNoEviction?: boolean | undefined;
  /**
   * Signals at which a client that has been used disconnects, as `disconnect()` does; `true`:
   * SIGTERM and SIGINT. Default false.
   *
   * If nobody else listens for the signal, the process exits when all clients with this option have closed, which takes
   * 10 s at the most: with `process.exitCode`, else 0, or 1 if something had to be given up. A second Ctrl-C (SIGINT,
   * SIGQUIT or SIGBREAK), a second or more after the first signal, ends it at once, with 128 and the number of the
   * signal, such as 130. If somebody else listens, that listener decides when it ends, and another signal changes nothing.
   *
   * It is not for a service that has to end something else first, such as an HTTP server whose
   * requests still publish: let that call `disconnect()` in its own listener. Node delivers no
   * signals to worker threads.
   */
  shutdownSignals?: boolean | readonly ShutdownSignal[] | undefined;
  performance?: PerformanceConfig | undefined;
}

export type { EventBusConfig as EventBusClientConfig };

/** Where a hub is, and how it is reached. */
export interface SocketIOConfig {
  /** Such as `https://hub.example.com`, with the namespace as its path: `https://hub.example.com/bus`. */
  url: string;
  /** What the hub's `authorize` gets; a function is asked for each connection, and before the permission of the hub ends. */
  auth?:
    | Record<string, unknown>
    | (() => Record<string, unknown> | Promise<Record<string, unknown>>)
    | undefined;
  /** The first one that works is taken; default `['websocket', 'polling']`. */
  transports?: readonly ('websocket' | 'polling')[] | undefined;
  /** The path of Socket.IO on the server; default `'/socket.io'`. */
  path?: string | undefined;
}

/** What asks a process to end. */
export type ShutdownSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGQUIT' | 'SIGBREAK' | 'SIGUSR2';

/** A stream that stores events. It is made, with its groups, by `connect`. */
export interface StreamConfig {
  /** The key in Redis, 1–512 characters; unique among the streams. */
  name: string;
  /**
   * Patterns of the types that are stored here. Rooms and users are stored by `stream` of a publish
   * only.
   */
  events: string | readonly string[];
  /** What `retentionValue` counts; default `'count'`. */
  retention?: 'count' | 'time' | undefined;
  /**
   * How many of the newest entries are kept, about; default 1 000 000. With `'time'` the hard cap.
   */
  maxLength?: number | undefined;
  /**
   * `'count'`: as `maxLength`, which goes before it. `'time'`: for how many ms entries are kept.
   */
  retentionValue?: number | undefined;
  /**
   * Groups that exist from the start, so that nothing is missed before their first subscription. While one is missing and
   * cannot be made, publishes that this stream stores wait, and then reject with `GROUP_UNAVAILABLE` (`not_sent`).
   */
  consumerGroups?:
    | readonly (string | { name: string; from?: 'new' | 'beginning' | undefined })[]
    | undefined;
  /**
   * Whether, or for which patterns of types, stored events are published live too; default true.
   */
  realtime?: boolean | readonly string[] | undefined;
  /**
   * Whether entries stay that a group, heard of within the last hour or not subscribed to yet, has
   * not read and settled; default true. Publishers still trim to the larger of `maxLength` and 1 000 000 (with `'time'`,
   * to `maxLength`), so that no dead group fills the server.
   */
  safeTrim?: boolean | undefined;
}

/** Events kept by their id, beside live delivery and streams. */
export interface PersistenceConfig {
  /** Default true. */
  enabled?: boolean | undefined;
  /** In ms; default 86 400 000. */
  ttl?: number | undefined;
  /** Whether `getHistory` finds them too; default true. */
  history?: boolean | undefined;
}

/** What becomes of stored events that cannot be handled. */
export interface DeadLetterConfig {
  /**
   * Whether they are moved to the stream `{stream}{suffix}`, in one step; default true. False: they
   * are acknowledged, counted (`eventsFailed`) and announced, and gone.
   */
  enabled?: boolean | undefined;
  /** Default `':dlq'`. */
  suffix?: string | undefined;
  /** How many are kept for each stream, about; default 10 000. */
  maxLength?: number | undefined;
}

/** The address of a server and how to talk to it. `{}` is localhost:6379. */
export interface RedisConfig {
  /**
   * `redis://`, `rediss://` (TLS) or `unix://`; `valkey://` and `valkeys://` are the same as the first two. The other fields
   * may complete it; where one gives another value than the URL, or `tls: false` stands beside `rediss://`, the constructor
   * throws `INVALID_CONFIG`. The query may give `db`, `user` and `pass`; parameters of other
   * clients, such as `family`, give a `warning` `OPTION_IGNORED`.
   */
  url?: string | undefined;
  /** A name or an IP address; an IPv6 one with or without brackets. All addresses of a name are tried (RFC 8305). */
  host?: string | undefined;
  port?: number | undefined;
  username?: string | undefined;
  /** Never shown in a log, an error, `inspect` or `toJSON`. */
  password?: string | undefined;
  database?: number | undefined;
  tls?: boolean | TlsConfig | undefined;
  /**
   * The sentinels that know which server is the master. It stands in the place of `url`, `host` and `port`: one of them beside it
   * is `INVALID_CONFIG`. The other fields are for the servers.
   */
  sentinel?: SentinelConfig | undefined;
  /**
   * Nodes of a Redis Cluster. It stands in the place of `url`, `host` and `port`: one of them, or `sentinel`, beside it is
   * `INVALID_CONFIG`. The other fields are for all nodes; `database` must be 0.
   */
  cluster?: ClusterConfig | undefined;
  /** In ms; default 5000. */
  connectTimeout?: number | undefined;
  /** Of every command and publish, in ms; default 5000. */
  commandTimeout?: number | undefined;
  /** TCP keep-alive, in ms; default 30 000. */
  keepAlive?: number | undefined;
  /** A link without an answer for this long is replaced, in ms; default 5000. */
  heartbeat?: number | undefined;
  /** Wait until the server has loaded its data set; default true. */
  enableReadyCheck?: boolean | undefined;
  /** As shown by `CLIENT LIST`. */
  connectionName?: string | undefined;
  /** `connect` resolves at once; the connection is made by the first use. Default false. */
  lazyConnect?: boolean | undefined;
  /** @deprecated Has no meaning here; accepted with a `warning`. */
  poolSize?: number | undefined;
  /** @deprecated Has no meaning here; accepted with a `warning`. */
  maxRetriesPerRequest?: number | null | undefined;
  /** @deprecated Has no meaning here; accepted with a `warning`. */
  retryDelayOnFailover?: number | undefined;
}

/**
 * How to reach a master that Redis Sentinel watches. All connections go to the master and follow it when it changes; replicas are
 * not used. Each client has one connection to each sentinel.
 */
export interface SentinelConfig {
  /** The name under which the sentinels watch the master, such as `'mymaster'`; without blanks. */
  name: string;
  /**
   * The sentinels, 1–32: `'host'`, `'host:port'` or `{ host, port }`; the port is 26379 by default. One that answers is enough, but a
   * client that knows all of them can tell one that is wrong from the others.
   */
  nodes: (string | { host: string; port?: number | undefined })[];
  /** The user of the sentinels, which is not that of the servers. Default none. */
  username?: string | undefined;
  /** The password of the sentinels, which is not that of the servers. Default none. Never shown. */
  password?: string | undefined;
  /** TLS to the sentinels, which have none by default even if the servers have. */
  tls?: boolean | TlsConfig | undefined;
}

/**
 * How to reach a Redis Cluster. The client finds all masters, and follows slots and masters when they change. Events of one stream stay
 * in order; live events are handed on among the nodes.
 */
export interface ClusterConfig {
  /** Nodes, 1–32: `'host'`, `'host:port'` or `{ host, port }`; the port is 6379 by default. One that answers is enough. */
  nodes: (string | { host: string; port?: number | undefined })[];
  /**
   * Where nodes are reached that announce addresses which this client cannot reach: announced `'host:port'`, or host, to
   * reachable. Default none; at most 2000 entries.
   */
  addressMap?: Record<string, string | { host: string; port?: number | undefined }> | undefined;
  /**
   * How live events travel. Default `'broadcast'`: each node hands each event on to all others, on any Cluster. `'sharded'`, with
   * Redis 7 or later or Valkey: an event goes to the one master that has its lane, so that more masters carry more live events.
   * All clients with the same `channelPrefix` must have the same `pubsub` and `lanes`: the first one writes it to the key
   * `{prefix}oxbus:pubsub`, and one that differs is refused with `CLUSTER_MODE`. Servers that are too old: `INVALID_CONFIG`.
   * With `'sharded'`, events of different types have no order among each other, and an event that a stream stores is published
   * live in a second step ([guide](docs/cluster.md)).
   */
  pubsub?: 'broadcast' | 'sharded' | undefined;
  /**
   * Over how many lanes live events are spread, 1–256; default 16. Only with `pubsub: 'sharded'`. A subscription to a type needs
   * the lane of that type and the one of broadcasts, one with a pattern needs all.
   */
  lanes?: number | undefined;
}

/**
 * TLS to the server, of version 1.2 or 1.3. Certificates and keys are PEM. What connects is what `node:tls` connects to, but for
 * the cases that the guide to the configuration lists.
 */
export interface TlsConfig {
  /**
   * The authorities to trust, or the server's own certificate if it has signed itself. Default: those that Node trusts, which
   * are the public ones, those of the file that `NODE_EXTRA_CA_CERTS` names, and with `NODE_USE_SYSTEM_CA=1` or
   * `--use-system-ca` those of the system. What cannot be read of them gives a `warning` `CA_IGNORED`.
   */
  ca?: string | Uint8Array | (string | Uint8Array)[] | undefined;
  /** The client's certificate, with its chain. Needs `key`. */
  cert?: string | Uint8Array | undefined;
  /** The private key of `cert`. */
  key?: string | Uint8Array | undefined;
  /** Opens `key` if that is encrypted (PKCS #8, `BEGIN ENCRYPTED PRIVATE KEY`). Never shown. */
  passphrase?: string | undefined;
  /** The name the certificate must have; default: the host. */
  servername?: string | undefined;
  /** Default true. False accepts any certificate, with a `warning` `TLS_NOT_VERIFIED`. */
  rejectUnauthorized?: boolean | undefined;
}

/** Size limits of events that are published; beyond: `EVENT_TOO_LARGE`. */
export interface ValidationConfig {
  /** The whole event as JSON, in bytes; default 1 MiB. */
  maxEventBytes?: number | undefined;
  /** `data` as JSON, in bytes; default 512 KiB. */
  maxDataBytes?: number | undefined;
}

/** How publishes are gathered and bounded. */
export interface PerformanceConfig {
  /** Publishes handed over at once, before the end of the tick; default 256. */
  batchSize?: number | undefined;
  /** How long publishes are gathered, in ms; default 0: until the end of the tick. */
  batchInterval?: number | undefined;
  /**
   * How often a publish that was `not_sent` is tried again within its timeout; default 0. Not in hybrid mode, where
   * this client's own handlers would get the event again.
   */
  maxRetries?: number | undefined;
  /** Before each such retry, in ms; default 100. */
  retryDelay?: number | undefined;
  /** Unanswered publishes; beyond: `QUEUE_FULL` at once. Default 100 000. */
  maxInFlight?: number | undefined;
  /** In bytes; default 64 MiB. */
  maxInFlightBytes?: number | undefined;
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

/**
 * A connection of a client: `publisher` publishes, `subscriber` is subscribed, `consumer` serves all
 * consumer groups and administration, each group has a reader (`reader:orders`), and `replicated`,
 * made when it is first needed, carries the publishes that wait for `replicas`. `tail` reads from streams what live
 * subscriptions hear in a wire that publishes nothing live. In memory mode there is `memory` alone.
 */
export type LinkName =
  | 'publisher'
  | 'subscriber'
  | 'consumer'
  | 'replicated'
  | 'tail'
  | 'memory'
  /** In mode `'socket.io'`. */
  | 'hub'
  | `reader:${string}`
  /** Of a Cluster with `pubsub: 'sharded'`, where `subscriber` stands for all links of lanes together. */
  | 'hand-backs'
  /** Of a node of a Cluster. */
  | `${'publisher' | 'subscriber' | 'consumer' | 'replicated' | 'tail'}@${string}`;

/** What a client announces; no listener is ever required. */
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export interface ClientEvents<Events = Record<string, any>> {
  /** Connected, and every subscription confirmed. */
  ready: [];
  /** An attempt to connect failed; the next one follows after `delay` ms. */
  reconnecting: [{ link: LinkName; attempt: number; delay: number; error: EventBusError }];
  /** A connection that was up is lost; both tell when the server goes. */
  disconnected: [{ link: LinkName; error: EventBusError }];
  /** After `disconnect`; the last event. */
  closed: [];
  /**
   * A handler failed for good, or a fault with no call to reject. Logged when nobody listens. A
   * durable event of a handler that failed for good is announced by `deadLetter` as well.
   */
  error: [error: EventBusError];
  /**
   * A call of a handler failed: what it threw is the `cause` of `error`. `event` is the array of a batch. When `final`, there
   * is no further attempt, and `error` is emitted as well. An attempt that is followed by another is logged at `warn`.
   */
  handlerError: [
    { error: EventBusError; event: BusEvent | BusEvent[]; attempt: number; final: boolean },
  ];
  /** Live events between `from` and `to` (ISO 8601) may have been missed. Comes before `ready`. */
  gap: [{ from: string; to: string; patterns: string[]; recovered: number; complete: boolean }];
  /**
   * A stored event could not be handled by a group; by then it is among the dead letters, if
   * enabled.
   */
  deadLetter: [DeadLetterNotice<EventOf<Events>>];
  /**
   * Entries that were trimmed or deleted before a group could handle them, between these message
   * ids. What was trimmed unread is noticed with the next read of the group, and each entry is told
   * to one client. Before Redis 7 it is not known how many there were: then `count` is 1.
   */
  messagesLost: [{ stream: string; group: string; count: number; from: string; to: string }];
  /**
   * Another consumer has an event that a handler here still runs for, as its claim was not renewed
   * in time or `maxProcessing` passed; its `ctx.signal` has aborted. What the handler does is not
   * undone, and its success still counts. `eventId` is null when its handler had just ended.
   */
  claimLost: [{ stream: string; group: string; messageId: string; eventId: string | null }];
  /**
   * A group had disappeared from the server and was made again; it goes on behind this message id.
   */
  groupRecreated: [{ stream: string; group: string; from: string }];
  /** A circuit breaker changed; `subscription` is the id. */
  circuit: [{ subscription: string; state: 'open' | 'half-open' | 'closed' }];
  /** Something to put right; also logged. */
  warning: [{ code: string; message: string }];
}

/** Why an event could not be handled. */
export type DeadLetterReason =
  | 'failed'
  | 'not-retryable'
  | 'undecodable'
  | 'unhandled'
  | 'crashed'
  | (string & {});

/** An error as it is stored. */
export interface StoredError {
  name: string;
  message: string;
  stack?: string;
  code?: string;
  [extra: string]: unknown;
}

/** That an event could not be handled by a group. */
export interface DeadLetterNotice<E = BusEvent> {
  stream: string;
  group: string;
  /** Of the entry in `stream`. */
  messageId: string;
  /** Null when it cannot be decoded. */
  event: E | null;
  /** How often it was tried: calls of a handler, those included that ended with their process; at least 1. */
  attempts: number;
  reason: DeadLetterReason;
  /** What the last attempt failed with. */
  error: StoredError;
  /** Whether it is among the dead letters: unless they are disabled. */
  kept: boolean;
}

export interface WaitOptions {
  /**
   * In ms. 0 and `Infinity`: no limit, for a server that starts later than the service. What does not mend by itself still
   * rejects at once: a refused login, a certificate, access rules, a server that is a replica.
   */
  timeout?: number | undefined;
  /** Ends the wait with `ABORTED`. */
  signal?: AbortSignal | undefined;
}

/**
 * A client of the bus.
 *
 * The process is kept alive while a returned promise is unsettled or a subscription, iterator or join
 * exists, and not otherwise. A client that is dropped without either is collected.
 *
 * @typeParam Events maps event types to what is published.
 * @typeParam Received maps them to what arrives: by default the same as JSON brings it, {@link ReceivedEvents}.
 * @typeParam Replies maps the types of requests to what a responder returns: {@link EventBusClient.request}.
 */
// A client may stand for one of a smaller map, or without a map: the compiler is told so, as it cannot find out by itself.
export interface EventBusClient<
  // @ts-ignore
  // biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
  out Events = Record<string, any>,
  // @ts-ignore
  out Received = ReceivedEvents<Events>,
  // @ts-ignore
  out Replies = unknown,
> {
  /** Unique per client. */
  readonly instanceId: string;
  readonly serviceName: string;
  readonly state: ClientState;

  /**
   * Resolves when ready. Concurrent calls share one attempt. Called implicitly by whatever asks the
   * server first: `publish`, `subscribe`, `events`, `getEvent`, `getHistory`, `replay`, and the
   * methods of `streams` and `deadLetters`.
   *
   * Rejects after `timeout` (default `redis.connectTimeout`) with the last cause, such as
   * `CONNECTION_REFUSED`, else `CONNECT_TIMEOUT`; at once with `AUTH_FAILED`, `TLS_FAILED`,
   * `NOT_MASTER`, `CLUSTER_MODE` (slots lie on other servers, or the configuration needs what a cluster
   * does not allow) or `INVALID_CONFIG` (a server that `requireNoEviction` refuses); the client then
   * goes on trying in the background. With `redis.sentinel` a server that is no master is nothing that lasts, and is not reported at
   * once; without a master the error says which sentinel answered what. After `disconnect`: `CLOSED`. With `lazyConnect` and in hybrid mode it
   * resolves at once.
   */
  connect(options?: WaitOptions): Promise<void>;

  /**
   * Flushes publishes, lets running handlers finish (which may still publish, unless `inherit` is
   * false), and closes. After `timeout` (default 10 000) what
   * is left is aborted, and a line in the log at `warn` says what. Idempotent: the same promise each time. A closed client stays closed.
   * Awaited inside a handler, it waits for that handler until `timeout`.
   */
  disconnect(options?: { timeout?: number | undefined }): Promise<void>;
  /** Alias of {@link disconnect}. */
  close(options?: { timeout?: number | undefined }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;

  /** Whether `state` is `'ready'`. */
  isConnected(): boolean;

  /** Resolves in state `ready`. Rejects after `timeout` (default `redis.connectTimeout`) with `CONNECT_TIMEOUT`, or `CLOSED`. */
  waitUntilReady(options?: WaitOptions): Promise<void>;

  /**
   * Publishes one event, and stores it if a stream is for its type: one step on the server, so a
   * refused event is neither. Never throws synchronously; the promise resolves when the server has
   * answered. Nothing is published twice by itself. Live delivery is at most once, that of a stored
   * event to groups at least once.
   *
   * Rejects with `INVALID_TYPE`, `INVALID_DATA`, `INVALID_OPTIONS`, `EVENT_TOO_LARGE`, `NO_STREAM`
   * (nothing sent), `QUEUE_FULL`, `CLOSED`, `ABORTED`, `PUBLISH_TIMEOUT`, `CONNECTION_LOST` or what
   * the server said; `error.outcome` tells what became of it. While reconnecting it waits until its
   * timeout, then rejects with outcome `not_sent`.
   *
   * In hybrid mode this client's own live handlers get the event at once, and one that no stream stores resolves
   * whatever becomes of it on the server: `remote` says so. While the server is known to be away that is
   * `'not_sent'`, at once; it is not sent later.
   */
  publish<K extends EventType<Events>>(
    type: K,
    data: Events[K] | RawJson,
    options?: PublishOptions,
  ): Promise<PublishResult>;
  /** Without `data` an event of a `void` type, which arrives with null; give null where options follow. */
  publish<K extends VoidType<Events>>(
    type: K,
    data?: null,
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
    data: Events[K] | RawJson,
    options?: PublishOptions,
  ): Promise<PublishResult>;
  broadcast<K extends VoidType<Events>>(
    type: K,
    data?: null,
    options?: PublishOptions,
  ): Promise<PublishResult>;

  /**
   * As `publish`, to those who have joined the room, by `joinRoom` in any process, and to patterns of
   * channels that match `room:{room}`. Stored only with an explicit `stream`. A room is 1–1024 bytes of
   * any characters, else `INVALID_OPTIONS`.
   */
  publishToRoom<K extends EventType<Events>>(
    room: string,
    type: K,
    data: Events[K] | RawJson,
    options?: RoomPublishOptions,
  ): Promise<PublishResult>;
  publishToRoom<K extends VoidType<Events>>(
    room: string,
    type: K,
    data?: null,
    options?: RoomPublishOptions,
  ): Promise<PublishResult>;

  /** As `publishToRoom`, to those who have joined the user by `joinUser`. */
  publishToUser<K extends EventType<Events>>(
    userId: string,
    type: K,
    data: Events[K] | RawJson,
    options?: PublishOptions,
  ): Promise<PublishResult>;
  publishToUser<K extends VoidType<Events>>(
    userId: string,
    type: K,
    data?: null,
    options?: PublishOptions,
  ): Promise<PublishResult>;

  /**
   * From now on this client's subscriptions whose type patterns match hear the room's events too, and
   * `member` is listed in it: until `leaveRoom`, `disconnect`, or 30 s after the process has died. Joins
   * survive reconnects and restarts of the server, and keep the process alive. Resolves, when the server
   * has confirmed it, to whether the member is new in this client; rejects, leaving nothing behind, with
   * `INVALID_OPTIONS`, `SUBSCRIBE_DENIED`, `COMMAND_TIMEOUT` after `redis.commandTimeout`, `QUEUE_FULL`
   * beyond 100 000 memberships, `NO_STREAM` with `pubsub: false`, `CLOSED`, or what the server said. In hybrid
   * mode it does not wait for a server that is known to be away, which is told when it is back.
   */
  joinRoom(room: string, options?: MemberOptions): Promise<boolean>;

  /**
   * Leaves the room for a member, or without one for all of this client; false if there was none. The
   * room's events are no longer heard from this call on. If the server does not answer, it resolves all
   * the same, and the membership goes when the server is back, or by itself after 30 s.
   */
  leaveRoom(room: string, options?: { member?: string }): Promise<boolean>;

  /**
   * Who is in the room, over all services: each member once, in the order of their UTF-8 bytes. One
   * round trip. Rejects as the methods of `streams`.
   */
  getRoomMembers(room: string): Promise<string[]>;

  /** As `joinRoom`, to hear what is published to the user; nobody is listed. */
  joinUser(userId: string): Promise<boolean>;

  /** As `leaveRoom`. */
  leaveUser(userId: string): Promise<boolean>;

  /**
   * Calls `handler` once per matching event. Patterns are Redis globs over event types (`*` any
   * run, `?`, `[a-z]`, `[^a]`, `\`); one that starts with `room:` or `user:`, or is `broadcast`,
   * addresses those channels. Resolves when the server has confirmed it. Rejects, leaving nothing
   * behind, with `INVALID_PATTERN`, `INVALID_OPTIONS`, `SUBSCRIBE_DENIED`, `CLOSED`, or
   * `COMMAND_TIMEOUT` after `redis.commandTimeout`. In hybrid mode it works at once for what this client publishes:
   * it resolves without the server when that is known to be away, or does not answer in time, which is asked again.
   *
   * With a `group` it is durable: the group gets each stored event at least once, and the event is
   * acknowledged when all matching subscriptions of the group in the client that got it have
   * handled it. Rejects also with `NO_STREAM` (no stream stores what the patterns match) and, after
   * `redis.commandTimeout`, `CONSUMER_IN_USE` (see `consumer`).
   */
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: BatchHandler<PatternEvent<Received, P>>,
    options: BatchSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<PatternEvent<Received, P>>,
    options: ChannelSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<PatternEvent<Received, P>, GroupContext>,
    options: GroupSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: BatchHandler<RawDataEvent<PatternEvent<Received, P>>>,
    options: Raw<BatchSubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<RawDataEvent<PatternEvent<Received, P>>>,
    options: Raw<ChannelSubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<RawDataEvent<PatternEvent<Received, P>>, GroupContext>,
    options: Raw<GroupSubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<RawDataEvent<PatternEvent<Received, P>>>,
    options: Raw<SubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<PatternEvent<Received, P>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /** Ends a subscription by its id; false if there is none. */
  unsubscribe(id: string): Promise<boolean>;

  /** One subscription over the types that a projection declares; otherwise as `subscribe`. */
  subscribeAll(
    projection: BatchProjection<EventOf<Received>>,
    options: BatchSubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Projection<EventOf<Received>, GroupContext>,
    options: GroupSubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Projection<EventOf<Received>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /** The events of a pattern as an async iterator; subscribed from this call on. */
  events<const P extends string | readonly string[]>(
    pattern: P,
    options: EventsOptions & { by: 'channel' },
  ): EventIterator<PatternEvent<Received, P>>;
  events<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    options: Raw<EventsOptions>,
  ): EventIterator<RawDataEvent<PatternEvent<Received, P>>>;
  events<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    options?: EventsOptions,
  ): EventIterator<PatternEvent<Received, P>>;

  /**
   * Asks one of those who `respond` to the type, and resolves to what its handler has returned, as JSON brings it; nothing
   * arrives as null. Live only: a request is stored nowhere, and schemas of its type hold for its data, not for the reply.
   *
   * At most once: a request goes to a second responder only where the first is known not to have begun with it, because it
   * has left or its channel has no receiver. Of several responders it is, of two drawn at random, the one with fewer
   * unanswered requests of this client; in hybrid mode those of this client come first, without the server. Which ones there are is
   * asked of the server and used for 100 ms. A process that died stays listed for up to 30 s; a request that goes to it is
   * passed on where the server says that nobody listens there, and else times out, after which this client asks others first.
   *
   * Rejects with what the handler has failed with: an error of the bus with its own code, any other as `HANDLER_FAILED`
   * whose `cause` has its `name`, `message` and `code`; `responder` says whose it is, and no stack crosses. Rejects also with
   * `NO_RESPONDERS` at once where there is none, `REQUEST_TIMEOUT`, `QUEUE_FULL` from a responder with too many requests or
   * beyond 100 000 under way here, `ABORTED`, `INVALID_TYPE`, `INVALID_DATA`, `INVALID_OPTIONS` (also of an observer),
   * `EVENT_TOO_LARGE`, `NO_STREAM` with `pubsub: false`, `CLOSED`, and as `publish`. With `outcome: 'not_sent'` no handler has got it. At the
   * timeout, on an abort and when this client closes, the `signal` of the handler aborts.
   *
   * With `all: true` all of them are asked, and the answers come as an iterator: {@link Answers}.
   */
  request<K extends EventType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data: Events[K] | RawJson,
    options: RequestOptions & { all: true },
  ): Answers<R>;
  request<K extends VoidType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data: null,
    options: RequestOptions & { all: true },
  ): Answers<R>;
  request<K extends EventType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data: Events[K] | RawJson,
    options?: RequestOptions,
  ): Promise<R>;
  request<K extends VoidType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data?: null,
    options?: RequestOptions,
  ): Promise<R>;

  /**
   * Answers requests of a type: what `handler` returns, or its promise resolves to, is the reply; `undefined` arrives as null.
   * It is called once for each request, with the event and the `ctx` that other handlers get; nothing is retried. What it throws
   * is the error of the request, and here as of any handler (`handlerError`, `eventsFailed`). `ctx.signal` aborts when the
   * requester does not wait any more; what the handler does then counts for nobody. A request that finds `concurrency`
   * handlers and `maxQueued` waiting requests is refused with `QUEUE_FULL`.
   *
   * Resolves when requests can come: subscribed, and listed as the members of a room are. Several responders of a type, in
   * one client or in many, share its requests. Rejects as `joinRoom`, and with `INVALID_TYPE`. Responders keep the process
   * alive. `disconnect` ends them: no request begins, those that run are answered. For that it takes 0.2 s more where a server
   * is.
   */
  respond<K extends EventType<Events>>(
    type: K,
    handler: RequestHandler<EventOf<Received, K & EventType<Received>>, Replies, K>,
    options?: RespondOptions,
  ): Promise<Responder>;

  /** Streams and their groups: what is in them, and repairs. */
  readonly streams: Streams;

  /** Stored events that could not be handled. */
  readonly deadLetters: DeadLetters<EventOf<Received>>;

  /**
   * The event of this id, if `persistence` keeps it or, with `persistence`, if it is among the last
   * that this client has published or received itself; else null. While Redis cannot be asked it
   * resolves to an event of the latter, and rejects for another. Rejects with what the server said, `INVALID_OPTIONS`, `COMMAND_TIMEOUT`, `CLOSED`.
   */
  getEvent(id: string): Promise<EventOf<Received> | null>;

  /**
   * Past events, each once: those that the history of `persistence` keeps, or without it those of
   * the configured streams; with `persistence` also the last that this client has published or
   * received itself. Rejects as `getEvent`, and with `INVALID_OPTIONS` where neither is configured.
   *
   * With `persistence`, while Redis cannot be asked, it resolves to what this client knows itself: then
   * `complete` of the result is false, and there is a `warning` `HISTORY_INCOMPLETE`. With `source: 'redis'`, or
   * without `persistence`, it rejects.
   */
  getHistory<const P extends string = '*'>(
    query?: HistoryQuery<P> & { type?: PatternOf<Events, P> | undefined },
  ): Promise<History<PatternEvent<Received, P>>>;

  /**
   * Goes through the stored events of a stream, or of the streams that store what a pattern
   * matches, once more.
   *
   * With a `handler`: calls it with one after the other. One that throws counts as `failed`, and
   * the next follows: nothing is retried, acknowledged or moved, and groups take no notice. With a
   * `group`: appends each again, as a new entry that only this group handles. When that is rejected,
   * the message tells how many were appended, and no more will be.
   *
   * Rejects with `INVALID_OPTIONS`, `NO_STREAM`, `CLOSED`, `ABORTED` by `signal`, or what the
   * server said.
   */
  replay<const P extends string = '*'>(
    query: ReplayQuery<PatternEvent<Received, P>, P> & {
      pattern?: PatternOf<Events, P> | undefined;
    },
  ): Promise<ReplayResult>;

  /** Never rejects; answers within 1 s. */
  healthCheck(): Promise<HealthReport>;

  /**
   * Looks at the running bus for some seconds, by connections of its own, and changes nothing: which formats are on which
   * channels and in which streams and which `wire` reads them, groups without living consumers, types that groups wait for
   * and nobody stores, the settings and the clocks of the servers, missing rights. It works with a user that may only read, and says what it
   * could not see. `KEYS` and `MONITOR` are never used. It hears everything that is published, which is work for a busy server: `sampleBytes` ends it.
   *
   * Rejects with `INVALID_OPTIONS`, with `INVALID_CONFIG` in memory mode, and with `CONNECTION_REFUSED`, `CONNECTION_LOST`,
   * `AUTH_FAILED` or `PERMISSION_DENIED` where no server can be asked. A client that has closed may be asked as well.
   */
  doctor(options?: DoctorOptions): Promise<DoctorReport>;

  /**
   * All metrics in the text format of Prometheus (0.0.4), to be served as it is or behind the text of a `prom-client`
   * registry. Never rejects; answers within 1 s.
   *
   * `eventbus_messages_published_total{stream,event_type}`, `eventbus_messages_consumed_total{stream,consumer_group}`,
   * `eventbus_message_processing_duration_ms{stream,event_type}`, `eventbus_active_connections{connection_type}`,
   * `eventbus_stream_length{stream}`; `oxbus_…` for the counters of `getStats`, latencies, and pending, lag and dead
   * letters of streams. `stream` and `consumer_group` are empty for live events. What is known of streams is asked
   * for every 10 s at the most, and stays as it was while Redis is away. Event types beyond 200 share the label
   * `_other`, and so do streams with their groups.
   */
  metrics(): Promise<string>;

  /** Counters since the client was made; also of a closed client. */
  getStats(): Stats;

  /**
   * This client's subscriptions, iterators included: all, or those that name exactly this pattern.
   * @throws ValidationError `INVALID_PATTERN`
   */
  subscriberCount(pattern?: string): number;

  /**
   * This client's subscriptions as they are now, live, durable and iterators, in the order in which they were made; those
   * that are not confirmed yet too. A copy. Empty once the client has closed.
   */
  subscriptions(): SubscriptionInfo[];

  on<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<Received>[K]) => unknown,
  ): this;
  once<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<Received>[K]) => unknown,
  ): this;
  off<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<Received>[K]) => unknown,
  ): this;

  /** Service name, mode, state and instance id; never a secret. */
  toJSON(): { serviceName: string; mode: string; state: ClientState; instanceId: string };
}

/** The validators of a configuration, by event type. */
export type Schemas = Record<string, StandardSchemaV1>;

/** The event map that schemas make: what they take. */
export type SchemaInput<S extends Schemas> = {
  [K in keyof S]: NonNullable<S[K]['~standard']['types']>['input'];
};

/** What arrives by schemas: what they give, as JSON brings it, and with `validateOnReceive` itself. */
export type SchemaOutput<S extends Schemas, Validated = false> = [Validated] extends [true]
  ? { [K in keyof S]: NonNullable<S[K]['~standard']['types']>['output'] }
  : ReceivedEvents<{ [K in keyof S]: NonNullable<S[K]['~standard']['types']>['output'] }>;

/** How a client is made, and what `extends EventBusClient` extends. */
export interface EventBusClientConstructor {
  /**
   * Without an event map, `schemas` make one: `publish` takes what the schema of the type takes, and handlers get what it gives.
   */
  new <S extends Schemas, V extends boolean>(
    config: EventBusConfig & { schemas: S; validateOnReceive?: V | undefined },
  ): EventBusClient<SchemaInput<S>, SchemaOutput<S, V>>;
  /**
   * Does no I/O.
   *
   * A client that needs an address and has none (under `NODE_ENV=production`, with `streams`, mode `'redis'` or `'hybrid'`, and
   * as an observer) is made all the same, as a program may be loaded where it does not run: its first use rejects with
   * `INVALID_CONFIG`.
   * @throws ValidationError `INVALID_CONFIG`, naming the path of the bad field.
   */
  // biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
  new <Events = Record<string, any>>(config?: EventBusConfig): EventBusClient<Events>;
  /** With a map of what responders return: `new EventBusClient<Events, Replies>(…)`. */
  new <Events, Replies>(
    config?: EventBusConfig,
  ): EventBusClient<Events, ReceivedEvents<Events>, Replies>;
  new (config?: EventBusConfig): EventBusClient;
  readonly prototype: EventBusClient;
}

export declare const EventBusClient: EventBusClientConstructor;

// --------------------------------------------------------------------------------------- manager

/**
 * An event of the manager: flat, as many services have them. On the bus `metadata` is the event's
 * `data`, and the other fields are its metadata.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export interface FlatEvent<M = Record<string, any>> {
  /** The event type, such as `booking.created`. */
  type: string;
  userId?: string | undefined;
  organizationId?: string | undefined;
  /** When it happened: a Date, ms since 1970, or ISO 8601 with a time zone. Default: now. */
  timestamp?: Date | number | string | undefined;
  /** Default: inherited from the event being handled, else new. */
  correlationId?: string | undefined;
  /** The payload: JSON. Default `{}`. */
  metadata?: M | undefined;
  /** Default: a new UUIDv7. */
  id?: string | undefined;
  /** Default: the id of the event being handled, else none. */
  causationId?: string | undefined;
  /** Default: the service name. */
  source?: string | undefined;
}

/** An event as handlers of the manager get it; it can be published again as it is. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export interface ReceivedFlatEvent<M = Record<string, any>> extends FlatEvent<M> {
  timestamp: Date;
  correlationId: string;
  metadata: M;
  id: string;
  source: string;
}

/** Configuration of a manager: that of its client, and what it announces. */
export interface EventBusManagerOptions extends EventBusConfig {
  /** Default: `'hybrid'` if there is an address and Redis is enabled, else `'memory'`. */
  mode?: EventBusConfig['mode'] | undefined;
  /** How often `system.status` is published, in ms, 0–2 147 483 647; 0: never. Default 60 000. */
  statusInterval?: number | undefined;
  /**
   * Whether other services get `system.status` too; default false. Without it there is none in mode
   * `'redis'`, which knows no events of one client alone.
   */
  statusEverywhere?: boolean | undefined;
  /** As for a client; the manager shuts down as by `shutdown()`. */
  shutdownSignals?: EventBusConfig['shutdownSignals'] | undefined;
}

/** Options of the manager's `publish`. */
export interface ManagerPublishOptions {
  /** Only the handlers of this manager get it. */
  localOnly?: boolean | undefined;
  /** Only others get it, over Redis. */
  redisOnly?: boolean | undefined;
}

/** Options of the manager's `subscribe`: those of a client, but batches. */
export interface ManagerSubscribeOptions extends SubscribeOptions {
  /** Only events of this manager. Without Redis there are no others. */
  localOnly?: boolean | undefined;
}

/** The state of the bus at a glance. */
export interface SystemStats {
  stats: Stats & {
    /** Not connected in memory mode. */
    redisHealth: { connected: boolean; latency: number | null };
  };
  health: HealthReport;
  /** In ms since the bus was opened. */
  uptime: number;
}

/**
 * A bus for those who want to keep no client: configured from the environment, opened by its first
 * use. It publishes `system.initialized` when it is connected, `system.status` every minute, and
 * `system.shutdown` before it closes; a service hears its own by `subscribe('system.*', …)`.
 */
export declare class EventBusManager {
  /** Does nothing yet; what is wrong with the options shows when the bus is opened. */
  constructor(options?: EventBusManagerOptions);

  /** The client in use; null before the first use and after `shutdown`. */
  readonly client: EventBusClient | null;

  /**
   * Opens the bus now instead of at the first use, and resolves as `connect` does. `options` replace
   * those of before. Rejects with `INVALID_CONFIG`, and with `INVALID_OPTIONS` if options are given
   * while the bus is open.
   */
  initialize(options?: EventBusManagerOptions): Promise<void>;

  /** Publishes a flat event; resolves and rejects as `publish` of a client. */
  publish(event: FlatEvent, options?: ManagerPublishOptions): Promise<PublishResult>;

  /**
   * Calls `handler` with each flat event that matches. Resolves to the ids of the subscriptions, for `unsubscribe`.
   */
  // biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
  subscribe<M = Record<string, any>>(
    type: string | readonly string[],
    handler: (event: ReceivedFlatEvent<M>, ctx: HandlerContext) => unknown,
    options?: ManagerSubscribeOptions,
  ): Promise<string[]>;

  /** Ends subscriptions by their ids; whether there was any of them. Opens no bus. */
  unsubscribe(ids: string | readonly string[]): Promise<boolean>;

  /** Opens the bus, unless it has been shut down: then the numbers are those of the end. */
  getSystemStats(): Promise<SystemStats>;

  /** As `healthCheck` of a client. Opens the bus, unless it has been shut down. */
  healthCheck(): Promise<HealthReport>;

  /**
   * Publishes `system.shutdown` and disconnects, within `timeout` (default 10 000). Idempotent. The
   * next `publish`, `subscribe` or `initialize` opens a new bus.
   */
  shutdown(options?: { timeout?: number | undefined }): Promise<void>;
}

/** The manager of this process. Importing it does nothing. */
export declare const eventBusManager: EventBusManager;

// ------------------------------------------------------------------------------ stored events

/**
 * Streams and their groups, as the server has them. Every method connects first, if the client has
 * not, and rejects with `INVALID_OPTIONS`,
 * `NO_STREAM` and `NO_GROUP` for what does not exist, `COMMAND_TIMEOUT`, `CLOSED`, or what the
 * server said.
 */
export interface Streams {
  info(name: string): Promise<StreamInfo>;
  /**
   * Whether there is such a stream, configured or not; false also for a configured one that nothing has made yet. A key
   * of another type rejects with `WRONG_TYPE`, as it does for the other methods.
   */
  exists(name: string): Promise<boolean>;
  /**
   * Of every configured stream, in the order of the configuration; of one that does not exist yet, with a `length` of 0.
   * Then, by name, those of other clients that exist: an observer lists what the clients of its `channelPrefix` have
   * registered, and with `scan` any client lists these and all other streams of the server, without dead letters and
   * history. Where not all are listed there is a `warning` `STREAMS_NOT_LISTED`.
   */
  list(options?: ListOptions): Promise<StreamInfo[]>;
  /**
   * What was handed to consumers of a group and not acknowledged, oldest first; `limit` 1–10 000,
   * default 100.
   *
   * An entry that was handed back, for any consumer to take, is still among them: it is owned by its
   * last consumer, is `idle` for 3 600 000 ms or more, and its `deliveryCount` is without the
   * delivery whose handler was never called. One that waits for its retry, and which no client holds,
   * is owned by the consumer `oxbus:delayed`; its `deliveryCount` is how often it was tried.
   */
  pending(
    name: string,
    group: string,
    options?: { limit?: number | undefined },
  ): Promise<PendingMessage[]>;
  /**
   * Takes what was left alone for too long from its consumers and hands it back to its group, of
   * which any consumer takes it within a second. What was tried too often goes to the dead letters
   * uncalled, with the event `deadLetter`. What this client has handed back and nobody has taken yet
   * is left as it is, and so is what waits for its retry: its delay is kept. `messagesRecovered` counts what was taken.
   * What a consumer of another program has is left to it for the `foreignLease` of the group, whatever `minIdle` says.
   * Consumers do the same by themselves, after the lease; this is for those who cannot wait. Where one stream cannot be
   * asked, the call rejects when what is on the others is recovered, and the message says how much.
   */
  recover(options?: RecoverOptions): Promise<RecoverResult>;
  /** Removes the oldest entries, read or not; resolves to how many. */
  trim(name: string, options: TrimOptions): Promise<number>;
  /** Where a group goes on reading. What is pending stays so. */
  setPosition(name: string, group: string, position: StreamPosition): Promise<void>;
  /** Removes a group, with what is pending; false if there was none. */
  removeGroup(name: string, group: string): Promise<boolean>;
}

export interface ListOptions {
  /**
   * Also look through the keys of the server with `SCAN`, 1 000 at a time and 1 000 times at the most; default false. It
   * needs Redis 6. In memory it finds all streams of the broker.
   */
  scan?: boolean | undefined;
  /** How many streams that are not configured are listed, 1–10 000; default 1 000. */
  limit?: number | undefined;
}

/** What there is to know of a stream. */
export interface StreamInfo {
  name: string;
  /** Entries. */
  length: number;
  /** The message id of the oldest entry; null if there is none. */
  firstId: string | null;
  /** That of the newest. */
  lastId: string | null;
  /** Entries in its stream of dead letters. */
  deadLetters: number;
  groups: GroupInfo[];
}

/** What there is to know of a consumer group of a stream. */
export interface GroupInfo {
  name: string;
  /**
   * Those that have read something, and those that live and wait for their first event. `idle`: ms since it last read or
   * renewed; of one that has read nothing yet, since it showed that it lives. `alive`: whether it lives, which shows within 10 s
   * of its end; null for a consumer of another program, of which nobody knows.
   */
  consumers: { name: string; pending: number; idle: number; alive: boolean | null }[];
  /** How many consumers are `alive` and have nothing pending: they wait for events. */
  waiting: number;
  /** Handed out and not acknowledged, those included that are `delayed`. */
  pending: number;
  /** Those that wait for a retry and which no client holds until they are due. */
  delayed: number;
  /**
   * Those that no living consumer has, and that others take: what was handed back by consumers that have left, and what
   * dead ones had, which is taken over after the lease.
   */
  unowned: number;
  /** Not yet read, of what is still there; null where nobody knows: 100 or more, before Redis 7 or after deletions. */
  lag: number | null;
  /** How many events wait for a consumer: `lag` and `unowned`; null where the lag is. What an autoscaler goes by. */
  backlog: number | null;
  /** In ms; null if nothing is pending. */
  oldestPendingAge: number | null;
  lastDeliveredId: string;
  /**
   * The types that the group has read past, as none of its patterns takes them, with the number of entries of each that may
   * still be taken up: a subscription with such a pattern gets what the group read past within the last ten minutes, and what
   * was stored while the group had no living consumer and was read past within the last day. At most 256 types.
   */
  skipped: Record<string, number>;
}

/** An entry that was handed out and not acknowledged. */
export interface PendingMessage {
  /** The message id. */
  id: string;
  consumer: string;
  /** Since it was handed out or renewed, in ms. */
  idle: number;
  /** How often it was handed out to a handler. */
  deliveryCount: number;
}

export interface RecoverOptions {
  /**
   * Default: all configured streams, and to a client that has none the registered ones. One that does not exist is
   * `NO_STREAM`. `undefined`, given explicitly, is `INVALID_OPTIONS`.
   */
  stream?: string;
  /** Default: every group of the streams. One that none of them has is `NO_GROUP`. `undefined`, given explicitly, is `INVALID_OPTIONS`. */
  group?: string;
  /**
   * What was handed out or renewed within so many ms is left alone; default 60 000, at least the
   * lease.
   */
  minIdle?: number | undefined;
  /**
   * What was delivered more often than once and so many times again is dead-lettered; default 3.
   */
  maxRetries?: number | undefined;
  /** Taken at a time; default 100. */
  batchSize?: number | undefined;
}

export interface RecoverResult {
  /** Pending entries that were idle for long enough. */
  checked: number;
  /** Taken from their consumers. */
  claimed: number;
  /** Handed back to be handled again. */
  reprocessed: number;
  deadLettered: number;
  /** Neither: deleted meanwhile, or refused by the server. */
  failed: number;
}

/** What stays; one of them. */
export type TrimOptions =
  | { maxLength: number; minId?: undefined; before?: undefined }
  /** From this message id on. */
  | { minId: string; maxLength?: undefined; before?: undefined }
  /** What was stored at this time or later. */
  | { before: Moment; maxLength?: undefined; minId?: undefined };

/**
 * The dead letters of all streams. Ids are opaque, and a text that is none names no dead letter;
 * every method rejects as those of {@link Streams}.
 */
export interface DeadLetters<E = BusEvent> {
  /**
   * Oldest first; of one stream, or of all configured ones. In a client without `streams`: of all that clients have
   * registered; the same holds for `replayAll` and `count`.
   */
  list(query?: DeadLetterQuery): Promise<DeadLetter<E>[]>;
  /** Null if there is none of that id. */
  get(id: string): Promise<DeadLetter<E> | null>;
  /**
   * Moves a dead letter back as a new entry, in one step: by default for the group that failed
   * alone (others acknowledge it unseen), with `to: 'stream'` for all groups. Null if there is none
   * of that id.
   */
  replay(
    id: string,
    options?: { to?: 'group' | 'stream' | undefined },
  ): Promise<{ messageId: string } | null>;
  /**
   * Moves all that were there when it began, or so many of the oldest; resolves to how many. `NO_GROUP` for a `group` that
   * does not exist and has no dead letters. Where those of one stream cannot be moved, the call rejects when those of the others
   * are, and the message says how many.
   */
  replayAll(query?: ReplayAllQuery): Promise<number>;
  /** False if there is none of that id. */
  remove(id: string): Promise<boolean>;
  /** Removes those of a stream; resolves to how many. */
  purge(stream: string): Promise<number>;
  /** Of one stream, or of all configured ones. */
  count(stream?: string): Promise<number>;
}

export interface DeadLetterQuery {
  /** The stream that the events come from. */
  stream?: string | undefined;
  /** 1–10 000, default 100. */
  limit?: number | undefined;
  /** Behind the dead letter of this id. */
  after?: string | undefined;
}

export interface ReplayAllQuery {
  /** The stream that the events come from; default: all. `undefined`, given explicitly, is `INVALID_OPTIONS`. */
  stream?: string;
  /** Only those of this group; default: of all. `undefined`, given explicitly, is `INVALID_OPTIONS`. */
  group?: string;
  /** Only those that were given up for this reason; default: for any. `undefined`, given explicitly, is `INVALID_OPTIONS`. */
  reason?: DeadLetterReason;
  /** How many are moved at the most: stream by stream, the oldest first; default: all. */
  limit?: number | undefined;
  /** Default `'group'`. */
  to?: 'group' | 'stream' | undefined;
}

/** A stored event that a group could not handle. */
export interface DeadLetter<E = BusEvent> {
  /** Unique over all streams; opaque. */
  id: string;
  /** Where it comes from. */
  stream: string;
  group: string;
  consumer: string;
  /** Of its entry in `stream`. */
  messageId: string;
  /** How often it was tried: calls of a handler, those included that ended with their process; at least 1. */
  attempts: number;
  reason: DeadLetterReason;
  /** What the last attempt failed with. */
  error: StoredError;
  /** When it was given up: ISO 8601. */
  time: string;
  /** Null when it cannot be decoded. */
  event: E | null;
  /** The entry as it was stored. */
  fields: Record<string, string>;
}

/** A moment: a Date, ms since 1970, or ISO 8601. */
export type Moment = Date | number | string;

/** What `getHistory` resolves to. */
export type History<E> = E[] & {
  /**
   * Whether what the server keeps is among the events, or was not asked for; false: only what this client
   * knows itself is. It is not enumerable, and a copy of the array does not have it.
   */
  readonly complete: boolean;
};

/** Which kept events `getHistory` gives. */
export interface HistoryQuery<P extends string = string> {
  /** A pattern of types; default all. */
  type?: P | undefined;
  /** Stored at this time or later. */
  from?: Moment | undefined;
  /** Stored at this time or before. */
  to?: Moment | undefined;
  /** 1–10 000, default 100. Together with `order`: the oldest so many, or the newest. */
  limit?: number | undefined;
  /** The server, what this client has published and received itself, or both (default). */
  source?: 'redis' | 'local' | 'all' | undefined;
  /** Default `'asc'`: oldest first. */
  order?: 'asc' | 'desc' | undefined;
}

/** What a handler of `replay` knows of its call. */
export interface ReplayContext extends HandlerContext {
  /** Aborts with the `signal` of the query, and when the client disconnects. */
  readonly signal: AbortSignal;
  readonly stream: string;
  readonly messageId: string;
}

/** Which stored events are replayed, and to whom. */
export type ReplayQuery<E = BusEvent, P extends string = string> = (
  | { stream: string; pattern?: undefined }
  | { pattern: P; stream?: undefined }
) & {
  /** From this time, or this message id, on; default: the beginning. `undefined`, given explicitly: `INVALID_OPTIONS`. */
  from?: Date | number | string;
  /** Up to this time, or this message id; default: what is stored when it begins. As `from`, not `undefined`. */
  to?: Date | number | string;
  /** How many at the most; default all. */
  limit?: number | undefined;
  /**
   * Stops before the next event, and aborts `ctx.signal`. With a `group` it stops within the next
   * 64 events, and rejects then.
   */
  signal?: AbortSignal | undefined;
} & (
    | { handler: EventHandler<E, ReplayContext>; group?: undefined }
    | { group: string; handler?: undefined }
  );

export interface ReplayResult {
  /** Handled with success, or appended for the group. */
  replayed: number;
  /** The handler threw, or the entry cannot be decoded. */
  failed: number;
  /** Whether older entries of the range were trimmed, as far as the server can tell. */
  truncated: boolean;
  /** The message ids of the first and the last; null if there was none. */
  firstId: string | null;
  lastId: string | null;
}

// ------------------------------------------------------------------------------------- watching

/** How `doctor` looks. Unknown keys: `INVALID_OPTIONS`. */
export interface DoctorOptions {
  /** For how long live events are listened to, in ms, 1–60 000; default 3000. */
  duration?: number | undefined;
  /** Also look for streams that nobody has registered: 100 000 keys of each server at the most. Default false. */
  scan?: boolean | undefined;
  /** The most bytes of live events that are looked at, 1–67 108 864; default 1 048 576. */
  sampleBytes?: number | undefined;
  /** The user of the server whose rights are looked at; needs the right `acl|dryrun`. Default: the one that looks. */
  user?: string | undefined;
  /** Ends the listening early. */
  signal?: AbortSignal | undefined;
}

/** One thing that `doctor` has found. */
export interface DoctorFinding {
  /** Stable: the code of a `warning` where there is one of the same meaning, such as `EVICTION_POLICY`. */
  code: string;
  /** `error`: events are or will be lost, or wait for nobody. `warning`: something to put right. `info`: a fact. */
  severity: 'error' | 'warning' | 'info';
  /** The server, stream, group, channel or user that it is about. */
  subject: string;
  message: string;
  /** What to do. */
  advice: string;
}

/** What `doctor` has found, the worst first. */
export interface DoctorReport {
  /** The severity of the worst finding. */
  worst: DoctorFinding['severity'];
  findings: DoctorFinding[];
  /** What a client of this bus would be configured with, as far as can be seen; without the address. */
  config: EventBusConfig;
}

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
  /**
   * Events that a handler has handled with success, those of a batch one by one. An event counts once for each
   * subscription that has handled it.
   */
  eventsDelivered: number;
  /** Events whose last attempt failed, counted in the same way. */
  eventsFailed: number;
  eventsRetried: number;
  /** Stored events that were moved to the dead letters. */
  eventsDeadLettered: number;
  /**
   * Dead letters that went for those that this client moved, the oldest first, as there were as many as are kept. The first time,
   * a `warning` `DEAD_LETTERS_DROPPED` says so.
   */
  deadLettersDropped: number;
  /** Dropped by a full queue, an open circuit, or a subscription that ended. */
  eventsDropped: number;
  /** Stored events that were trimmed or deleted before a group of this client could handle them. */
  eventsLost: number;
  /**
   * Events that no subscription wanted: a filter, an own echo, a type outside the patterns of the
   * group.
   */
  eventsSkipped: number;
  /**
   * Messages that were not events: no JSON object, no `type`, or no `data` but members that no event has, such as
   * `{ type, payload }`. Each counts once, however many patterns it matches; some are logged at `debug`.
   */
  eventsForeign: number;
  /** Stored events taken over from other consumers. */
  messagesRecovered: number;
  /** Renewals of claims on stored events. */
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
  mode: 'memory' | 'redis-only' | 'local-only' | 'hybrid' | 'socket.io';
  /** In ms since the client was made. */
  uptime: number;
  /** Bytes held by events that wait. */
  memory: number;
  /** What is counted of requests and replies; their events are among the counters above too. */
  requests: RequestStats;
}

/** Counters of requests, kept in JavaScript. */
export interface RequestStats {
  /** Requests sent to a responder; one that goes to another responder counts again. */
  requestsSent: number;
  /** Requests whose handler was called, here. */
  requestsHandled: number;
  /** Requests that a responder has refused without calling its handler: too many, or it has left. */
  requestsRefused: number;
  /** Requests of this client without a reply in time; one to all counts once. */
  requestsTimedOut: number;
  /** Replies that came when nobody waited for them any more. They are dropped. */
  repliesLate: number;
  /** Replies of this client's responders that could not be sent, or that nobody has received. */
  repliesUndelivered: number;
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

/** One configured stream, as `healthCheck` sees it. */
export interface StreamHealth {
  /** Entries. */
  length: number;
  /** Handed out and not acknowledged, over all groups. */
  pending: number;
  /** Not yet read by the group that is furthest behind; null where the server does not know. */
  lag: number | null;
  /** By name. */
  groups: Record<string, { pending: number; lag: number | null }>;
  /** Why nothing is known of it, or why it cannot be used. */
  error?: { code: string; message: string };
  [extra: string]: unknown;
}

/** The health of a client. */
export interface HealthReport {
  /**
   * `unhealthy`: no usable link; `degraded`: a link, a reader, a stream or a group is stale, refused, gone or
   * down. In hybrid mode, which works without any link, `degraded` is the worst while the client is open.
   */
  status: 'healthy' | 'degraded' | 'unhealthy';
  state: ClientState;
  mode: Stats['mode'];
  /** Of a round trip to the server, in ms; null without one. */
  latency: number | null;
  /**
   * What the server says of itself; without an answer `connected`, which is false, alone. Null in memory mode, where there is
   * no server.
   */
  redis: {
    connected: boolean;
    /** What the server calls itself: `'redis'`, `'valkey'`. */
    server?: string;
    /** The version by which the server goes itself; for Valkey that of Valkey. */
    version?: string;
    role?: string;
    maxmemoryPolicy?: string;
    /** With `redis.sentinel`: the address of the master that is followed, if one is known, and what each sentinel says. */
    sentinel?: {
      name: string;
      master: string | null;
      sentinels: { address: string; connected: boolean; master?: string; error?: string }[];
    };
    /** With `redis.cluster`: the nodes, and how many slots none of them serves; null before a node has told. */
    cluster?: {
      nodes: {
        address: string;
        role: 'master' | 'replica';
        slots: number;
        healthy: boolean;
        /** With `pubsub: 'sharded'`: how many lanes this client has subscribed there. */
        lanes?: number;
      }[];
      uncoveredSlots: number | null;
      /** With `pubsub: 'sharded'`: how many lanes there are, how many this client needs, and those of them that it does not hear. */
      lanes?: { count: number; wanted: number; missing: number[] };
    };
    [extra: string]: unknown;
  } | null;
  /** By name; see {@link LinkName}. */
  connections: Record<string, ConnectionHealth>;
  /** The configured streams, by name. */
  streams: Record<string, StreamHealth>;
  /** The longest that the event loop left something of this client waiting, in the last 30 to 60 s, in ms. */
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
  'ERR_BUS_CLUSTER_MODE',
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
  'ERR_BUS_GROUP_UNAVAILABLE',
  'ERR_BUS_NO_GROUP',
  'ERR_BUS_CONSUMER_IN_USE',
  'ERR_BUS_HANDLER_FAILED',
  'ERR_BUS_HANDLER_TIMEOUT',
  'ERR_BUS_PUBLISH_TIMEOUT',
  'ERR_BUS_CONNECT_TIMEOUT',
  'ERR_BUS_COMMAND_TIMEOUT',
  'ERR_BUS_REQUEST_TIMEOUT',
  'ERR_BUS_NO_RESPONDERS',
  'ERR_BUS_ABORTED',
  'ERR_BUS_QUEUE_FULL',
  'ERR_BUS_NO_THREAD',
  'ERR_BUS_NOT_REPLICATED',
  'ERR_BUS_ADDON_UNAVAILABLE',
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
  cause?: unknown | undefined;
  outcome?: Outcome | undefined;
  path?: string | undefined;
  messageId?: string | undefined;
  responder?: string | undefined;
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
  /**
   * Of a publish that failed after its event was stored (`NOT_REPLICATED`): the id of its entry.
   */
  readonly messageId?: string;
  /** Of a request: the id of the responder that it comes from, or that has not answered. */
  readonly responder?: string;
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

/**
 * Thrown by a handler: try again after `delay` ms, if an attempt is left. With a `group` the delay is kept over restarts of the
 * client. Throws a TypeError where `delay` is no number of ms, 0 or more: then the handler has failed with that.
 */
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

/** Data as JSON text: made by {@link rawJson} to publish it, or received with `data: 'raw'`. */
export interface RawJson<T = unknown> {
  /** The text. Of bytes that are not UTF-8 it throws a TypeError. */
  readonly text: string;
  /** The same as UTF-8. Bytes that were given are these: a publish copies them when it is called. */
  readonly bytes: Uint8Array;
  /** What `JSON.parse` makes of the text: a new value for each call. */
  parse(): T;
  /** As {@link parse}, so that it is JSON within other JSON. */
  toJSON(): T;
}

/**
 * Data that is JSON already, for all methods that publish: it is sent as it is, but for white space around it and for line
 * feeds, which become carriage returns. The publish rejects with `INVALID_DATA` (`not_sent`) where it is not JSON, or not UTF-8. A schema
 * of its type parses it, and what the schema gives is sent. Throws `INVALID_DATA` for what is neither a text nor bytes.
 */
export declare function rawJson(textOrBytes: string | Uint8Array): RawJson;
