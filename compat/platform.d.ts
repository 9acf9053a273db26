/*
 * The bus of the process that the documentation calls platform: the manager of Oxbus, with `payload`, with `getHistory`, and
 * with Redis only where `ENABLE_REDIS_EVENTS` asks for it.
 *
 * The adapter writes and reads Oxbus's own format: it reaches other Oxbus clients, and no service that still runs the old
 * code.
 */

import type {
  EventBusManagerOptions,
  FlatEvent,
  HandlerContext,
  HealthReport,
  HistoryQuery,
  ManagerPublishOptions,
  ManagerSubscribeOptions,
  EventBusManager as OxbusManager,
  PublishResult,
  ReceivedFlatEvent,
  SystemStats,
} from '../index';

export type { ManagerPublishOptions, ManagerSubscribeOptions, SystemStats } from '../index';

/** An event as it is published: a flat one, whose payload is `metadata` or `payload`. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export interface PlatformEvent<M = Record<string, any>> extends FlatEvent<M> {
  /** The same as `metadata`; of both, given together, this one must be the same value. */
  payload?: M | undefined;
}

/** An event as handlers get it; it can be published again as it is. */
// biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
export interface ReceivedPlatformEvent<M = Record<string, any>> extends ReceivedFlatEvent<M> {
  /** The same value as `metadata`. */
  payload: M;
}

/** Which past events `getHistory` gives. */
export interface PlatformHistoryQuery extends Omit<HistoryQuery, 'type'> {
  /** A type, or a pattern of types; default all. */
  eventType?: string | undefined;
}

/**
 * The bus of a process, opened by its first use.
 *
 * Without a `mode` or a `redis` in the options it is in memory unless the environment has `ENABLE_REDIS_EVENTS=true` and an
 * address; Oxbus's own manager takes an address for a yes. It keeps events for an hour (`persistence.ttl`), which is what
 * survives a restart: an event that is published while Redis is away reaches the handlers of this process alone, now and
 * later, and `remote` of the result says so.
 */
export declare class EventBusManager {
  /** Does nothing yet; what is wrong with the options shows when the bus is opened. */
  constructor(options?: EventBusManagerOptions);
  /** For all that has no old name: `client`, … */
  readonly manager: OxbusManager;
  /** As of Oxbus's manager. */
  initialize(options?: EventBusManagerOptions): Promise<void>;
  /** To the handlers of this process and, over Redis, to those of others. Rejects as `publish` of Oxbus's manager. */
  publish(event: PlatformEvent, options?: ManagerPublishOptions): Promise<PublishResult>;
  /** Resolves to the ids of the subscriptions, for `unsubscribe`. */
  // biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
  subscribe<M = Record<string, any>>(
    type: string | readonly string[],
    handler: (event: ReceivedPlatformEvent<M>, ctx: HandlerContext) => unknown,
    options?: ManagerSubscribeOptions,
  ): Promise<string[]>;
  unsubscribe(ids: string | readonly string[]): Promise<boolean>;
  /**
   * Past events, the newest first unless `order` says otherwise, 100 unless `limit` does. With `source: 'redis'`, what the
   * server keeps; with `'local'`, the last that this process has published or received. Opens the bus.
   */
  getHistory(query?: PlatformHistoryQuery): Promise<ReceivedPlatformEvent[]>;
  getSystemStats(): Promise<SystemStats>;
  healthCheck(): Promise<HealthReport>;
  shutdown(options?: { timeout?: number | undefined }): Promise<void>;
}

/** The bus of this process. Importing it does nothing. It is another one than `eventBusManager` of `oxbus`. */
export declare const eventBusManager: EventBusManager;
/** The same bus, under the name of the class below it in the old code. */
export declare const hybridEventBus: EventBusManager;
