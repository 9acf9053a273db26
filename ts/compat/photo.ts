/** `oxbus/compat/photo`: `compat/photo.d.ts` describes it. */

import type {
  EventBusClient as Contract,
  EventBusConfig,
  PublishOptions,
  Traced,
} from '../../compat/photo';
import type {
  BusEvent,
  EventBusClient as Client,
  ClientEvents,
  EventType,
  HandlerContext,
  HealthReport,
  PublishOptions as OxbusPublishOptions,
  PatternEvent,
  PatternOf,
  PublishResult,
  ReceivedEvents,
  Stats,
  SubscribeOptions,
  Subscription,
} from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { EventBusClient as OxbusClient } from '../client/client';
import { invalidAt } from '../errors';
import { copyPlain } from '../input/json';
import { copyOptions } from '../input/options';
import { checkFunction } from './arguments';

export { EventValidator } from '../validation/validator';

const CONFIG = 'ERR_BUS_INVALID_CONFIG';
const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export class EventBusClient<Events = Record<string, any>> implements Contract<Events> {
  readonly client: Client<Events>;
  /** The same, whose types nobody checks again. */
  readonly #any: Client;
  readonly #defaults: SubscribeOptions;

  constructor(config?: EventBusConfig) {
    const { retryConfig, ...given } = copyPlain(config ?? {}, CONFIG, 'configuration');
    if (retryConfig === undefined) {
      this.#defaults = {};
    } else {
      if (given.retry !== undefined) throw invalidAt(CONFIG, 'retry', 'not with retryConfig');
      const { maxRetries, backoffMultiplier, ...delays } = copyPlain(
        retryConfig,
        CONFIG,
        'retryConfig',
      );
      given.retry = { ...delays, multiplier: backoffMultiplier, jitter: 'none' };
      this.#defaults = { maxRetries: maxRetries as number | undefined };
    }
    this.#any = new OxbusClient(given);
    this.client = this.#any as Client<Events>;
  }

  connect(): Promise<void> {
    return this.client.connect();
  }

  disconnect(): Promise<void> {
    return this.client.disconnect();
  }

  isConnected(): boolean {
    return this.client.isConnected();
  }

  publish<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    return this.#any.publish(type, data, withCorrelation(options));
  }

  publishToRoom<K extends EventType<Events>>(
    room: string,
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    return this.#any.publishToRoom(room, type, data, withCorrelation(options));
  }

  publishToUser<K extends EventType<Events>>(
    userId: string,
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    return this.#any.publishToUser(userId, type, data, withCorrelation(options));
  }

  broadcast<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    return this.#any.broadcast(type, data, withCorrelation(options));
  }

  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: (
      event: Traced<PatternEvent<ReceivedEvents<Events>, P>>,
      ctx: HandlerContext,
    ) => unknown,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    checkFunction(handler, 'handler');
    const given: SubscribeOptions = { ...this.#defaults, ...copyOptions(options) };
    if (given.batch !== undefined) throw invalidAt(OPTIONS, 'batch', 'not here: use `client`');
    return this.#any.subscribe<string | readonly string[]>(
      pattern,
      (event: BusEvent, ctx) => handler(traced(event) as never, ctx),
      given,
    );
  }

  unsubscribe(subscriptionId: string): Promise<boolean> {
    return this.client.unsubscribe(subscriptionId);
  }

  joinRoom(room: string): Promise<void> {
    return this.client.joinRoom(room).then(() => undefined);
  }

  leaveRoom(room: string): Promise<void> {
    return this.client.leaveRoom(room).then(() => undefined);
  }

  getRoomMembers(room: string): Promise<string[]> {
    return this.client.getRoomMembers(room);
  }

  healthCheck(): Promise<HealthReport> {
    return this.client.healthCheck();
  }

  async getStats(): Promise<Stats> {
    return this.client.getStats();
  }

  on<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<ReceivedEvents<Events>>[K]) => unknown,
  ): this {
    this.client.on(name, listener);
    return this;
  }

  off<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents<ReceivedEvents<Events>>[K]) => unknown,
  ): this {
    this.client.off(name, listener);
    return this;
  }
}

startAsyncStacksAtCaller(EventBusClient, [
  'connect',
  'disconnect',
  'publish',
  'publishToRoom',
  'publishToUser',
  'broadcast',
  'subscribe',
  'unsubscribe',
  'joinRoom',
  'leaveRoom',
  'getRoomMembers',
]);

/** The options of Oxbus: a trace id is its correlation id. */
function withCorrelation(options: PublishOptions | undefined): OxbusPublishOptions {
  const { traceId, ...given } = copyOptions(options);
  if (traceId === undefined) return given;
  if (given.correlationId !== undefined) {
    throw invalidAt(OPTIONS, 'traceId', 'not together with correlationId');
  }
  return { ...given, correlationId: traceId as string };
}

function traced({ metadata, ...event }: BusEvent): Traced<BusEvent> {
  return { ...event, metadata: { ...metadata, traceId: metadata.correlationId } };
}
