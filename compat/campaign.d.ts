/*
 * The names of the bus that the documentation calls campaign: four streams with consumer groups, and real-time channels
 * such as `campaign:7:status`. What took a connection of ioredis takes the bus.
 *
 * The adapter writes and reads Oxbus's own format: it reaches other Oxbus clients, and no service that still runs the old
 * code. A real-time channel is a room of that name.
 */

import type {
  ClientEvents,
  EventBusClient,
  EventBusConfig,
  HealthReport,
  RedisConfig,
  StreamConfig,
  SubscribeOptions,
} from '../index';

/** What is known of an event beside its data. */
export interface EventMetadata {
  /** Default when publishing: a new UUIDv7. */
  eventId?: string | undefined;
  eventType: string;
  /** Default when publishing: now. */
  timestamp?: Date | undefined;
  /** Default when publishing: the service name. */
  source?: string | undefined;
  /** Default when publishing: inherited from the event being handled, else new. */
  correlationId?: string | undefined;
  /** Default when publishing: the id of the event being handled, else none. */
  causationId?: string | undefined;
}

/** An event as it is published. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export interface Event<T = any> {
  metadata: EventMetadata;
  /** JSON. */
  data: T;
}

/** An event as handlers get it; it can be published again as it is. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export interface ReceivedEvent<T = any> extends Event<T> {
  metadata: EventMetadata & {
    eventId: string;
    timestamp: Date;
    source: string;
    correlationId: string;
  };
}

/** Called with one event. To throw, or to reject, is a failure of this call alone. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export type EventHandler<T = any> = (event: ReceivedEvent<T>) => unknown;

/**
 * `campaign-events`, `timer-events`, `notification-events` and `system-events`, with their groups and bounds. Unlike the old
 * code, a stream is made without a first entry to be deleted, and a group that was lost goes on where it stood, not at
 * the end.
 */
export declare const STREAM_CONFIGS: readonly StreamConfig[];

/** The bus: one client, which the classes below take. */
export declare class RedisEventBus {
  /**
   * Does no I/O. `redis` is the address, `{ host, port, password, database, … }` or a URL; `poolSize`, `maxRetriesPerRequest`
   * and `retryDelayOnFailover` have no meaning and give a `warning`. Default: from the environment. `options` are those of a
   * client; `streams` is {@link STREAM_CONFIGS} by default.
   *
   * @throws ValidationError `INVALID_CONFIG`, naming the path of the bad field.
   */
  constructor(
    redis?: string | RedisConfig,
    options?: Omit<EventBusConfig, 'redis'> & { redis?: undefined },
  );
  /** For all that has no old name: `streams`, `deadLetters`, `getStats()`, … */
  readonly client: EventBusClient;
  /** `connect` of the client. */
  initialize(): Promise<void>;
  /** `disconnect` of the client. */
  disconnect(options?: { timeout?: number | undefined }): Promise<void>;
  /** `healthCheck` of the client. */
  healthCheck(): Promise<HealthReport>;
  /** `metrics` of the client: the five metrics of the old code by their names, and those of Oxbus. */
  metrics(): Promise<string>;
  /** `on` of the client. Unlike with an EventEmitter, an `error` without a listener is logged, not thrown. */
  on<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this;
  once<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents[K]) => unknown,
  ): this;
  off<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this;
}

/**
 * Stores events, and publishes some of them live. Both are one step on the server, the stream first: the old code could crash
 * in between, and `publishNotificationEvent` published what it then failed to store.
 *
 * Every method rejects as `publish` of a client, with `INVALID_EVENT` for what is no event, and with `INVALID_DATA` where the
 * channel needs a field that the data does not have: the old code published to `campaign:undefined`.
 */
export declare class EventPublisher {
  /** @throws ValidationError `INVALID_OPTIONS` unless it is given a {@link RedisEventBus}. */
  constructor(bus: RedisEventBus);
  /**
   * Stored in `campaign-events`. `campaign.status.changed`, `campaign.timer.executed` and `campaign.error` also go to the
   * channel `campaign:{data.campaignId}`. Resolves to the message id.
   */
  publishCampaignEvent(event: Event): Promise<string>;
  /** Stored in `timer-events`. Resolves to the message id. */
  publishTimerEvent(event: Event): Promise<string>;
  /**
   * Stored in `notification-events`, and published to a channel: `campaign.status.changed` to
   * `campaign:{data.campaignId}:status`, `timer.executed` to `timer:{data.timerId}:executed`, `system.alert` to
   * `system:alerts`, and all others to `notifications:general`.
   */
  publishNotificationEvent(event: Event): Promise<void>;
}

/** What a {@link StreamConsumer} reads, and how. */
export interface ConsumerConfig {
  groupName: string;
  streamName: string;
  /** Default: a name of its own. All consumers of a group in one bus have the same one; a living one elsewhere is refused. */
  consumerName?: string | undefined;
  /** Time for one handler call, in ms; default 30 000. */
  processingTimeout?: number | undefined;
  /** @deprecated Has no meaning here: the reader takes what it has room for. */
  batchSize?: number | undefined;
  /** @deprecated Has no meaning here. */
  blockTime?: number | undefined;
}

/**
 * A durable subscription to all events of a stream, one event at a time. Other than in the old code:
 *
 * - A failure is retried, three times by default, and then goes to the dead letters. It used to stay pending for ever.
 * - After `processingTimeout` the call counts as failed, instead of only being logged.
 * - All pending events are taken up, after each reconnect, and those of consumers that died: not ten of them at the start.
 * - Claims are renewed while a handler runs, so that no other consumer takes its event.
 */
export declare class StreamConsumer {
  /**
   * `options` are those of `subscribe`, such as `maxRetries`, `circuitBreaker` or `concurrency`.
   *
   * @throws ValidationError `INVALID_OPTIONS`
   */
  constructor(
    bus: RedisEventBus,
    config: ConsumerConfig,
    eventHandler: EventHandler,
    options?: Omit<SubscribeOptions, 'group' | 'streams' | 'consumer' | 'data' | 'by'>,
  );
  /** Resolves when the group is read; rejects as `subscribe` of a client. */
  start(): Promise<void>;
  /** Resolves when no handler of it runs any more. What waits is handed back to the group. */
  stop(): Promise<void>;
}

/**
 * Live handlers of channels. A channel is a glob, as Redis has it: `campaign:*:status`. The old code looked handlers up by the
 * name of the channel, so that none of a pattern ever ran.
 */
export declare class RealTimeSubscriber {
  /** @throws ValidationError `INVALID_OPTIONS` unless it is given a {@link RedisEventBus}. */
  constructor(bus: RedisEventBus);
  /** Resolves when the server has confirmed it, which is waited for until there is one. The same pair counts once. */
  subscribe(channel: string, handler: EventHandler): Promise<void>;
  /** False if there is no such pair. */
  unsubscribe(channel: string, handler: EventHandler): Promise<boolean>;
}

/** What the bridge uses of a Socket.IO server. */
export interface SocketServer {
  to(room: string): { emit(name: string, event: ReceivedEvent): unknown };
  emit(name: string, event: ReceivedEvent): unknown;
}

/**
 * Hands live events to the clients of a Socket.IO server: those of `campaign:*:status` to the room `campaign:{id}` as
 * `campaign.status.updated`, those of `timer:*:executed` to that of their campaign as `timer.executed`, and those of
 * `system:alerts` to everybody as `system.alert`. An event without a campaign is a failure of its handler.
 */
export declare class WebSocketEventBridge {
  /** @throws ValidationError `INVALID_OPTIONS` */
  constructor(io: SocketServer, bus: RedisEventBus);
  /** Resolves when the server has confirmed the subscriptions; rejects as `subscribe`, unless the bus has been disconnected. */
  readonly ready: Promise<void>;
}

/** Waiting for the connection. All else of the old class is what a client does by itself, without a last attempt. */
export declare class RedisConnectionManager {
  /** @throws ValidationError `INVALID_OPTIONS` unless it is given a {@link RedisEventBus}. */
  constructor(bus: RedisEventBus);
  /** `waitUntilReady` of the client, after `timeout` ms, 30 000 by default, `CONNECT_TIMEOUT`. It does not connect. */
  waitForConnection(timeout?: number): Promise<void>;
}
