/*
 * The client of the bus that the documentation calls photo: the client of Oxbus under the same names, with `retryConfig`,
 * `traceId`, and rooms that promise nothing but the join.
 *
 * The adapter writes and reads Oxbus's own format, `{ id, type, data, metadata }` on the channels `{type}`, `room:{room}`,
 * `user:{userId}` and `broadcast`, which is what photo has, too.
 *
 * Live events are delivered at most once: what is published while a subscriber is disconnected does not reach it. The old
 * documentation calls this reliable; it is announced by `gap`, and a subscription with a `group` misses nothing.
 */

import type {
  BusEvent,
  EventMetadata as BusMetadata,
  EventBusClient as Client,
  ClientEvents,
  EventType,
  HandlerContext,
  HealthReport,
  EventBusConfig as OxbusConfig,
  PublishOptions as OxbusPublishOptions,
  PatternEvent,
  PatternOf,
  PublishResult,
  ReceivedEvents,
  Stats,
  SubscribeOptions,
  Subscription,
} from '../index';

export { EventValidator } from '../index';

/** The types of the old documentation, for `new EventBusClient<PhotoEvents>()`. */
export type PhotoEvents = {
  'photo.uploaded': { photoId: string; userId: string };
  'photo.processing.started': { photoId: string; jobId: string };
  'photo.processing.completed': { photoId: string; result: unknown };
  'user.registered': Record<string, unknown>;
};

/** The delays between attempts: exactly `initialDelay`, and `backoffMultiplier` times as much each time. */
export interface RetryConfig {
  /** Retries after the first attempt, of subscriptions that do not say; default 3. */
  maxRetries?: number | undefined;
  /** In ms; default 1000. */
  initialDelay?: number | undefined;
  /** In ms; default 10 000. */
  maxDelay?: number | undefined;
  /** Default 2. */
  backoffMultiplier?: number | undefined;
}

/** The configuration of an Oxbus client, and what photo calls otherwise. */
export interface EventBusConfig extends OxbusConfig {
  /** In the place of `retry`, which has random delays by default. */
  retryConfig?: RetryConfig | undefined;
}

/** The options of `publish`, and what photo calls otherwise. */
export interface PublishOptions extends OxbusPublishOptions {
  /** The `correlationId`; not together with it. Default: inherited from the event being handled, else new. */
  traceId?: string | undefined;
}

/** What is known of an event beside its data. */
export interface EventMetadata extends BusMetadata {
  /** The `correlationId`. */
  traceId: string;
}

/** An event, as handlers get it. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export type Event<T = any, K extends string = string> = Omit<BusEvent<T, K>, 'metadata'> & {
  metadata: EventMetadata;
};

/** An event with the metadata of photo. */
export type Traced<E> = E extends BusEvent<infer T, infer K> ? Event<T, K> : never;

/** The options of `subscribe`, but batches and raw data. */
export type { SubscribeOptions } from '../index';

/** A client. What has no old name is a method of {@link EventBusClient.client}. */
// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export declare class EventBusClient<Events = Record<string, any>> {
  /** Does no I/O. @throws ValidationError `INVALID_CONFIG`, naming the path of the bad field. */
  constructor(config?: EventBusConfig);
  /** For all that has no old name: `publishBatch`, `streams`, `deadLetters`, `events()`, … */
  readonly client: Client<Events>;
  connect(): Promise<void>;
  /** Waits for handlers that run, and for publishes. */
  disconnect(): Promise<void>;
  isConnected(): boolean;
  publish<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  publishToRoom<K extends EventType<Events>>(
    room: string,
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  publishToUser<K extends EventType<Events>>(
    userId: string,
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  broadcast<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult>;
  /**
   * As `subscribe` of an Oxbus client: the handler runs once for each event, however many patterns match, and what it throws
   * is a failure of this call alone.
   */
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: (
      event: Traced<PatternEvent<ReceivedEvents<Events>, P>>,
      ctx: HandlerContext,
    ) => unknown,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  /** False if there is none of this id. */
  unsubscribe(subscriptionId: string): Promise<boolean>;
  /** Works over Redis alone; the old client needed a Socket.IO server. */
  joinRoom(room: string): Promise<void>;
  leaveRoom(room: string): Promise<void>;
  getRoomMembers(room: string): Promise<string[]>;
  healthCheck(): Promise<HealthReport>;
  /** `errorRate` is failed / (delivered + failed); the old one was failed / published, of which other services know nothing. */
  getStats(): Promise<Stats>;
  /** `on` of the client. */
  on<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<ReceivedEvents<Events>>[K]) => unknown,
  ): this;
  /** `off` of the client. */
  off<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<ReceivedEvents<Events>>[K]) => unknown,
  ): this;
}
