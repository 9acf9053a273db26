/*
 * The names of the bus that the documentation calls eventsource, in camel case: classes of domain events, a registry, and one
 * stream that consumer groups read.
 *
 * The adapter writes and reads Oxbus's own format, in the streams `{prefix}:stream` and `{prefix}:stream_dlq`: it reaches other
 * Oxbus clients, and no service of the Python library. Do not give it the prefix and group of one: entries in a foreign
 * format go to the dead letters of the group.
 */

import type { EventBusClient, EventBusConfig, PublishOptions } from '../index';

// ------------------------------------------------------------------------------------- events

/** What an event is made of beside its own fields. */
export interface DomainEventFields {
  /** What the event is about, 1–512 characters. The events of an aggregate are handled in their order. */
  aggregateId: string;
  /** Default 1. */
  aggregateVersion?: number | undefined;
  /** Default: a new UUID. */
  eventId?: string | undefined;
  /** Default 1. */
  eventVersion?: number | undefined;
  /** Default: now. */
  occurredAt?: Date | undefined;
  tenantId?: string | null | undefined;
  actorId?: string | null | undefined;
  /** Default: inherited from the event being handled, else new. It is known when the event is received. */
  correlationId?: string | null | undefined;
  /** Default: the id of the event being handled, else none. */
  causationId?: string | null | undefined;
  /** JSON. */
  metadata?: Record<string, unknown> | undefined;
}

/** An event that has happened to an aggregate. Its own fields are JSON: a Date arrives as text. */
export declare class DomainEvent {
  /** Default: the name of the class. */
  static readonly eventType: string;
  static readonly aggregateType: string;
  /** @throws ValidationError `INVALID_EVENT`, naming the field. */
  constructor(fields: DomainEventFields);
  readonly eventType: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly aggregateVersion: number;
  readonly eventId: string;
  readonly eventVersion: number;
  readonly occurredAt: Date;
  readonly tenantId: string | null;
  readonly actorId: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly metadata: Record<string, unknown>;
}

/** A class of events with fields of their own. */
export interface EventClass<Fields extends object = object> {
  readonly eventType: string;
  readonly aggregateType: string;
  new (fields: DomainEventFields & Fields): DomainEvent & Readonly<Fields>;
}

/** Any class of events. */
// biome-ignore lint/suspicious/noExplicitAny: classes differ in their fields
export type AnyEventClass = EventClass<any>;

/**
 * The base of a class of events: `class OrderCreated extends defineEvent<{ total: number }>('OrderCreated', 'Order') {}`. The
 * fields are not declared in the class again, where they would hide what was given.
 *
 * @throws ValidationError `INVALID_OPTIONS` unless both are texts.
 */
export declare function defineEvent<Fields extends object = object>(
  eventType: string,
  aggregateType: string,
): EventClass<Fields>;

/** Which class has which events. */
export declare class EventRegistry {
  /** Registers a class, again as well. @throws ValidationError `INVALID_OPTIONS` where another class has its type. */
  register(type: AnyEventClass): void;
  /** The class of a type; undefined if there is none. */
  get(eventType: string): AnyEventClass | undefined;
  has(eventType: string): boolean;
}

/** The registry of a bus that is given none. */
export declare const defaultRegistry: EventRegistry;

/** Registers a class, by default with {@link defaultRegistry}, and returns it. Also a decorator. */
export declare function registerEvent<C extends AnyEventClass>(type: C, registry?: unknown): C;

// ---------------------------------------------------------------------------------------- bus

/** Options of {@link RedisEventBusConfig}. */
export interface RedisEventBusOptions {
  /** Default `redis://localhost:6379`. */
  redisUrl?: string | undefined;
  /** Before `:stream`; default `events`. */
  streamPrefix?: string | undefined;
  /** Default `default`. A new group begins with the oldest event. */
  consumerGroup?: string | undefined;
  /** Default: a name of its own. A living consumer of that name elsewhere is refused. */
  consumerName?: string | undefined;
  /** Retries after the first attempt; default 3. */
  maxRetries?: number | undefined;
  /** Whether what cannot be handled is kept; default true. */
  enableDlq?: boolean | undefined;
  /** Default `_dlq`. */
  dlqStreamSuffix?: string | undefined;
  /** The default of `recoverPendingMessages`, in ms; 60 000. */
  pendingIdleMs?: number | undefined;
  /** Of every command, in seconds, as in the old configuration; default 5. */
  socketTimeout?: number | undefined;
  /** In seconds; default 5. */
  socketConnectTimeout?: number | undefined;
  /** @deprecated Has no meaning here. */
  singleConnectionClient?: boolean | undefined;
  /** @deprecated Has no meaning here: the reader takes what it has room for. */
  batchSize?: number | undefined;
  /** @deprecated Has no meaning here. */
  blockMs?: number | undefined;
  /** @deprecated Has no meaning here: the server counts the deliveries of an entry. */
  retryKeyPrefix?: string | undefined;
  /** @deprecated Has no meaning here. */
  retryKeyExpirySeconds?: number | undefined;
  /** @deprecated Has no meaning here. */
  enableTracing?: boolean | undefined;
}

/** The options, with the defaults of those that have one. */
export type CompleteOptions = RedisEventBusOptions & {
  [K in
    | 'redisUrl'
    | 'streamPrefix'
    | 'consumerGroup'
    | 'maxRetries'
    | 'enableDlq'
    | 'dlqStreamSuffix'
    | 'pendingIdleMs'
    | 'socketTimeout'
    | 'socketConnectTimeout']: NonNullable<RedisEventBusOptions[K]>;
};

/** The configuration of a bus. */
export declare class RedisEventBusConfig {
  /** @throws ValidationError `INVALID_CONFIG` for what is no option. */
  constructor(options?: RedisEventBusOptions);
  readonly options: CompleteOptions;
  readonly consumerGroup: string;
  /** `{streamPrefix}:stream` */
  readonly streamName: string;
  /** `{streamPrefix}:stream{dlqStreamSuffix}` */
  readonly dlqStreamName: string;
}

/** A function, or an object that has it as `handle`. */
export type EventSubscriber<E extends DomainEvent = DomainEvent> =
  | ((event: E) => unknown)
  | { handle(event: E): unknown };

/** One object that handles several types. */
export interface Projection {
  subscribedTo(): readonly AnyEventClass[];
  handle(event: DomainEvent): unknown;
}

/** What a repository of aggregates publishes its new events by; a {@link RedisEventBus} is one. */
export interface EventPublisher {
  publish(events: readonly DomainEvent[]): Promise<void>;
}

/** What became of the pending messages. */
export interface RecoveryStats {
  checked: number;
  claimed: number;
  reprocessed: number;
  dlq: number;
  failed: number;
}

/** A message that could not be handled. */
export interface DlqMessage {
  /** For `replayDlqMessage`; opaque. */
  messageId: string;
  /** The fields of the entry, as they were stored, and these. */
  data: {
    eventType: string;
    originalMessageId: string;
    /** Retries after the first attempt. */
    retryCount: number;
    /** ISO 8601. */
    dlqTimestamp: string;
    /** Why, which the old bus did not keep. */
    error: string;
    [field: string]: unknown;
  };
}

/** What there is to know of the stream. */
export interface EventStreamInfo {
  connected: boolean;
  stream: {
    name: string;
    length: number;
    firstEntryId: string | null;
    lastEntryId: string | null;
  };
  consumerGroups: { name: string; consumers: number; pending: number }[];
  /** Of the group of this bus. */
  pendingMessages: number;
  dlqMessages: number;
  /** Of the group of this bus, those that live. */
  activeConsumers: number;
}

/** The counters of a bus, since it was made. */
export interface StatsDict {
  eventsPublished: number;
  eventsConsumed: number;
  eventsProcessedSuccess: number;
  eventsProcessedFailed: number;
  messagesRecovered: number;
  messagesSentToDlq: number;
  handlerErrors: number;
  reconnections: number;
}

/**
 * A bus of domain events. Each group handles every event, its consumers share them, one at a time each. Other than in the
 * old code:
 *
 * - Each handler retries alone: one that fails does not make the others handle the event again. After the last retry the
 *   event is moved to the dead letters in one step.
 * - What a consumer leaves behind when it dies is taken over by itself, after `client.lease` (30 s).
 * - A claim is renewed while a handler runs, and given up only by its owner.
 * - An event that the group reads, and that has no class in the registry, goes to the dead letters. The old bus acknowledged
 *   it, and it was gone.
 * - The stream keeps the newest 1,000,000 entries, and what a living group has not settled. The old one grew for ever.
 */
export declare class RedisEventBus implements EventPublisher {
  /**
   * Does no I/O. `client` are options of the Oxbus client, such as `mode: 'memory'` or `logger`, on top of those of `config`.
   *
   * @throws ValidationError `INVALID_CONFIG`, naming the path of the bad field.
   */
  constructor(options?: {
    config?: RedisEventBusConfig | RedisEventBusOptions | undefined;
    eventRegistry?: EventRegistry | undefined;
    client?: EventBusConfig | undefined;
  });
  /** For all that has no old name: `streams`, `deadLetters`, `replay`, `healthCheck`, … */
  readonly client: EventBusClient;
  readonly config: RedisEventBusConfig;
  /** From `startConsuming` to `stopConsuming`. */
  readonly isConsuming: boolean;
  /** Makes the stream and the group. Rejects as `connect` of a client. */
  connect(): Promise<void>;
  /** Stops consuming, and closes the connections. */
  disconnect(): Promise<void>;
  /**
   * Stores the events, in their order and in one pipeline. Rejects if one is not stored: with its error if it is the only
   * event, else with an AggregateError of all that failed. `options` are those of `publish` of a client: with
   * `{ deduplicate: true }` an event that is published again within two minutes is stored once.
   */
  publish(events: readonly DomainEvent[], options?: PublishOptions): Promise<void>;
  /**
   * A handler of one class, which is registered if it is not yet. It runs from `startConsuming` on; while the bus consumes,
   * from now on.
   *
   * @throws ValidationError `INVALID_OPTIONS`
   */
  subscribe<Fields extends object>(
    type: EventClass<Fields>,
    handler: EventSubscriber<DomainEvent & Readonly<Fields>>,
  ): void;
  /** The same for all classes that a projection declares. */
  subscribeAll(projection: Projection): void;
  /** The same for all events. */
  subscribeToAllEvents(handler: EventSubscriber): void;
  /** Handlers of a class, or of all classes. Those of `subscribeToAllEvents` are not among them. */
  getSubscriberCount(type?: AnyEventClass): number;
  /** Handlers of `subscribeToAllEvents`. */
  getWildcardSubscriberCount(): number;
  /**
   * Runs the handlers. Resolves when `stopConsuming` has ended them, so it is not awaited at the start; rejects, having
   * stopped, when a subscription is refused, as `subscribe` of a client is. The same promise if it consumes already.
   */
  startConsuming(): Promise<void>;
  /** Resolves when no handler runs any more. What waits is handed back to the group. */
  stopConsuming(): Promise<void>;
  /**
   * Takes over what other consumers of the group have left alone for so long, at least `client.lease`. The bus does the same
   * by itself: a worker that calls this every minute is not needed.
   */
  recoverPendingMessages(options?: {
    /** Default: `pendingIdleMs`. */
    minIdleTimeMs?: number | undefined;
    /** Default: that of the configuration. */
    maxRetries?: number | undefined;
    /** Default 100. */
    batchSize?: number | undefined;
  }): Promise<RecoveryStats>;
  /** The oldest dead letters of the stream, of all groups; `count` 1–10 000, default 100. */
  getDlqMessages(options?: { count?: number | undefined }): Promise<DlqMessage[]>;
  /**
   * Moves a dead letter back into the stream, in one step, for the group that failed; the old bus gave it to all groups, which
   * `to: 'stream'` still does. False if there is none of this id.
   */
  replayDlqMessage(
    messageId: string,
    options?: { to?: 'group' | 'stream' | undefined },
  ): Promise<boolean>;
  getStreamInfo(): Promise<EventStreamInfo>;
  getStatsDict(): StatsDict;
}
