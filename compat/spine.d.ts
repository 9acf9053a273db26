/*
 * The bus that the documentation calls spine: events that are published and forgotten, kept for a day under their id, on the
 * channels `dreamnet:events:{type}`.
 *
 * The adapter writes and reads Oxbus's own format, under the same keys and channels: it reaches other Oxbus clients, and no
 * service that still runs the old code.
 */

import type {
  ClientEvents,
  EventBusClient,
  EventBusConfig,
  HandlerContext,
  SubscribeOptions,
  Subscription,
} from '../index';

/** An event. */
export interface EventEnvelope<T = unknown> {
  /** 1–512 characters. */
  id: string;
  type: string;
  /** JSON. */
  payload: T;
  /** In ms since 1970. */
  timestamp: number;
  /** The service that has published it; default when publishing: the service name. */
  source?: string | undefined;
}

/** The configuration of an Oxbus client, and what spine calls otherwise. */
export interface RedisEventBusConfig extends EventBusConfig {
  /** As `redis.url`. The fields of the address are not together with `redis`. */
  redisUrl?: string | undefined;
  /** Default `localhost`. Unlike an Oxbus client, the bus reads no address from the environment. */
  redisHost?: string | undefined;
  /** Default 6379. */
  redisPort?: number | undefined;
  redisPassword?: string | undefined;
  /** Default `dreamnet:events:`. */
  channelPrefix?: string | undefined;
  /** Whether events are kept for `getEventFromRedis`, for 24 h unless `persistence.ttl` says otherwise; default true. */
  enablePersistence?: boolean | undefined;
  /**
   * Only `true`, the default: Oxbus does not keep an event by its id without publishing it live, and `false` is
   * `INVALID_CONFIG`.
   */
  enablePubSub?: true | undefined;
  /** Default `'hybrid'`: handlers of this bus get an event at once, also without Redis. */
  mode?: EventBusConfig['mode'] | undefined;
}

/** The bus. What has no old name is a method of {@link RedisEventBus.client}. */
export declare class RedisEventBus {
  /** Does no I/O. @throws ValidationError `INVALID_CONFIG`, naming the path of the bad field. */
  constructor(config?: RedisEventBusConfig);
  /** For all that has no old name: `getHistory`, `healthCheck`, … */
  readonly client: EventBusClient;
  /** How many events were published and have not reached Redis, as far as is known. */
  readonly eventsUnsent: number;
  /**
   * Resolves when Redis is connected; rejects as `waitUntilReady` of a client, after which the bus goes on trying. Handlers
   * of this bus work without it.
   */
  connect(): Promise<void>;
  /** Waits for handlers that run, and for publishes. */
  disconnect(options?: { timeout?: number | undefined }): Promise<void>;
  /**
   * Hands the event to the handlers of this bus, to others over Redis, and keeps it under its id. Nobody waits for it: one
   * that does not reach Redis is logged at `error` and counted in {@link eventsUnsent}; it is not sent later. The old code
   * lost it without a word. `client.publish` has a promise.
   *
   * @throws ValidationError for what is no event, before anything is sent: `INVALID_EVENT`. What else is wrong with it, such
   * as a payload that is not JSON, is logged and counted.
   */
  publish(event: EventEnvelope): void;
  /**
   * The handlers of this bus: `subscribe` of the client, with envelopes. The document that describes them is not among the
   * five, so this is Oxbus's method. A pattern is a glob: `dream.*`.
   */
  subscribe<T = unknown>(
    pattern: string | readonly string[],
    handler: (event: EventEnvelope<T> & { source: string }, ctx: HandlerContext) => unknown,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  /**
   * The event of this id, or null: from Redis, or else from the last that this bus has published or received. While Redis is
   * away it resolves to one of the latter, and rejects for another: the old code said that there is none.
   */
  getEventFromRedis<T = unknown>(
    eventId: string,
  ): Promise<(EventEnvelope<T> & { source: string }) | null>;
  /** `on` of the client. */
  on<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this;
  /** `once` of the client. */
  once<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents[K]) => unknown,
  ): this;
  /** `off` of the client. */
  off<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this;
}
