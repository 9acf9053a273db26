/** `oxbus/compat/eventsource`: `compat/eventsource.d.ts` describes it. */

import type {
  AnyEventClass,
  CompleteOptions,
  RedisEventBus as Contract,
  DlqMessage,
  EventClass,
  EventStreamInfo,
  EventSubscriber,
  Projection,
  RecoveryStats,
  RedisEventBusOptions,
  EventRegistry as RegistryContract,
  StatsDict,
} from '../../compat/eventsource';
import type {
  EventBusClient as Client,
  EventBusConfig,
  PublishOptions,
  Subscription,
} from '../../index';
import { startAsyncStacksAtCaller, startStacksAtCaller } from '../caller-stacks';
import { EventBusClient } from '../client/client';
import { invalidAt } from '../errors';
import { copyPlain } from '../input/json';
import { reading, readOptions } from '../input/options';
import { withDefaults } from './arguments';
import {
  checkEventClass,
  type DomainEvent,
  defaultRegistry,
  EventRegistry,
  toDomainEvent,
  toItem,
} from './domain-events';

export {
  DomainEvent,
  defaultRegistry,
  defineEvent,
  EventRegistry,
  registerEvent,
} from './domain-events';

const CONFIG = 'ERR_BUS_INVALID_CONFIG';
const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

const DEFAULTS = {
  redisUrl: 'redis://localhost:6379',
  streamPrefix: 'events',
  consumerGroup: 'default',
  consumerName: undefined,
  maxRetries: 3,
  enableDlq: true,
  dlqStreamSuffix: '_dlq',
  pendingIdleMs: 60_000,
  socketTimeout: 5,
  socketConnectTimeout: 5,
} satisfies RedisEventBusOptions;
const WITHOUT_MEANING = [
  'singleConnectionClient',
  'batchSize',
  'blockMs',
  'retryKeyPrefix',
  'retryKeyExpirySeconds',
  'enableTracing',
];

export class RedisEventBusConfig {
  readonly options: CompleteOptions;

  constructor(options?: RedisEventBusOptions) {
    const given = copyPlain(options ?? {}, CONFIG, 'configuration');
    for (const key of Object.keys(given)) {
      if (key in DEFAULTS || WITHOUT_MEANING.includes(key)) continue;
      throw invalidAt(CONFIG, `config.${key}`, 'is not an option');
    }
    this.options = withDefaults(DEFAULTS, given);
    for (const [key, value] of Object.entries(DEFAULTS)) {
      const read = this.options[key as keyof RedisEventBusOptions];
      if (value === undefined || typeof read === typeof value) continue;
      throw invalidAt(CONFIG, `config.${key}`, `must be a ${typeof value}`);
    }
  }

  get consumerGroup(): string {
    return this.options.consumerGroup;
  }

  get streamName(): string {
    return `${this.options.streamPrefix}:stream`;
  }

  get dlqStreamName(): string {
    return `${this.streamName}${this.options.dlqStreamSuffix}`;
  }
}

/** A handler, and the classes whose events it gets; undefined: all. */
interface Subscriber {
  types: AnyEventClass[] | undefined;
  handle(event: DomainEvent): unknown;
}

/** From `startConsuming` to `stopConsuming`. */
interface Consumption {
  ended: Promise<void>;
  end(): void;
  fail(error: unknown): void;
  joined: Promise<Subscription>[];
}

export class RedisEventBus implements Contract {
  readonly client: Client;
  readonly config: RedisEventBusConfig;
  readonly #registry: RegistryContract;
  readonly #subscribers: Subscriber[] = [];
  #consumption: Consumption | undefined;

  constructor(options?: {
    config?: RedisEventBusConfig | RedisEventBusOptions | undefined;
    eventRegistry?: RegistryContract | undefined;
    client?: EventBusConfig | undefined;
  }) {
    const {
      config,
      eventRegistry = defaultRegistry,
      client,
    } = readOptions(options, ['config', 'eventRegistry', 'client']);
    if (!(eventRegistry instanceof EventRegistry)) {
      throw invalidAt(OPTIONS, 'eventRegistry', 'must be an EventRegistry');
    }
    this.#registry = eventRegistry;
    this.config =
      config instanceof RedisEventBusConfig
        ? config
        : new RedisEventBusConfig(config as RedisEventBusOptions);
    const given = copyPlain(client ?? {}, CONFIG, 'client');
    this.client = new EventBusClient(withDefaults(clientConfig(this.config), given));
  }

  get isConsuming(): boolean {
    return this.#consumption !== undefined;
  }

  connect(): Promise<void> {
    return this.client.connect();
  }

  disconnect(): Promise<void> {
    return this.stopConsuming().then(() => this.client.disconnect());
  }

  publish(events: readonly DomainEvent[], options?: PublishOptions): Promise<void> {
    if (!Array.isArray(events)) throw invalidAt(OPTIONS, 'events', 'must be an array');
    const published = this.client.publishBatch(events.map(toItem), options);
    return published.then((results) => {
      const errors = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
      if (errors.length === 0) return;
      if (results.length === 1) throw errors[0];
      throw new AggregateError(errors, `${errors.length} of ${results.length} events failed`);
    });
  }

  subscribe<Fields extends object>(
    type: EventClass<Fields>,
    handler: EventSubscriber<DomainEvent & Readonly<Fields>>,
  ): void {
    this.#add([type], handler as EventSubscriber);
  }

  subscribeAll(projection: Projection): void {
    const types = reading('projection', () => projection.subscribedTo());
    if (!Array.isArray(types)) throw invalidAt(OPTIONS, 'projection', 'must declare its classes');
    this.#add([...types], projection);
  }

  subscribeToAllEvents(handler: EventSubscriber): void {
    this.#add(undefined, handler);
  }

  getSubscriberCount(type?: AnyEventClass): number {
    const types = this.#subscribers.flatMap((one) => one.types ?? []);
    return type === undefined ? types.length : types.filter((one) => one === type).length;
  }

  getWildcardSubscriberCount(): number {
    return this.#subscribers.filter(({ types }) => types === undefined).length;
  }

  startConsuming(): Promise<void> {
    if (this.#consumption === undefined) {
      this.#consumption = newConsumption();
      for (const subscriber of this.#subscribers) this.#join(subscriber, this.#consumption);
    }
    return this.#consumption.ended;
  }

  stopConsuming(): Promise<void> {
    const consumption = this.#consumption;
    this.#consumption = undefined;
    return consumption === undefined ? Promise.resolve() : leave(consumption);
  }

  recoverPendingMessages(options?: {
    minIdleTimeMs?: number | undefined;
    maxRetries?: number | undefined;
    batchSize?: number | undefined;
  }): Promise<RecoveryStats> {
    const given = readOptions(options, ['minIdleTimeMs', 'maxRetries', 'batchSize']);
    const { streamName: stream, consumerGroup: group } = this.config;
    const { pendingIdleMs, maxRetries } = this.config.options;
    const read = withDefaults({ minIdleTimeMs: pendingIdleMs, maxRetries, batchSize: 100 }, given);
    const { minIdleTimeMs: minIdle, ...others } = read;
    const recovered = this.client.streams.recover({ stream, group, minIdle, ...others });
    return recovered.then(({ deadLettered, ...stats }) => ({ ...stats, dlq: deadLettered }));
  }

  getDlqMessages(options?: { count?: number | undefined }): Promise<DlqMessage[]> {
    const { count } = readOptions(options, ['count']);
    const query = { stream: this.config.streamName, limit: count as number | undefined };
    return this.client.deadLetters.list(query).then((letters) =>
      letters.map(({ id, fields, event, messageId, attempts, time, error }) => ({
        messageId: id,
        data: {
          ...fields,
          eventType: event?.type ?? fields.eventType ?? '',
          originalMessageId: messageId,
          retryCount: attempts - 1,
          dlqTimestamp: time,
          error: error.message,
        },
      })),
    );
  }

  replayDlqMessage(
    messageId: string,
    options?: { to?: 'group' | 'stream' | undefined },
  ): Promise<boolean> {
    return this.client.deadLetters.replay(messageId, options).then((moved) => moved !== null);
  }

  getStreamInfo(): Promise<EventStreamInfo> {
    const { streamName: name, consumerGroup } = this.config;
    return this.client.streams.info(name).then((info) => {
      const own = info.groups.find((group) => group.name === consumerGroup);
      return {
        connected: this.client.isConnected(),
        stream: { name, length: info.length, firstEntryId: info.firstId, lastEntryId: info.lastId },
        consumerGroups: info.groups.map((group) => ({
          name: group.name,
          consumers: group.consumers.length,
          pending: group.pending,
        })),
        pendingMessages: own?.pending ?? 0,
        dlqMessages: info.deadLetters,
        activeConsumers: own?.consumers.filter(({ alive }) => alive === true).length ?? 0,
      };
    });
  }

  getStatsDict(): StatsDict {
    const stats = this.client.getStats();
    return {
      eventsPublished: stats.eventsPublished,
      eventsConsumed: stats.eventsReceived,
      eventsProcessedSuccess: stats.eventsDelivered,
      eventsProcessedFailed: stats.eventsFailed,
      messagesRecovered: stats.messagesRecovered,
      messagesSentToDlq: stats.eventsDeadLettered,
      handlerErrors: stats.handlerErrors,
      reconnections: stats.reconnections,
    };
  }

  #add(types: AnyEventClass[] | undefined, handler: EventSubscriber): void {
    const handle = typeof handler === 'function' ? handler : handler?.handle?.bind(handler);
    if (typeof handle !== 'function') {
      throw invalidAt(OPTIONS, 'handler', 'must be a function, or have a method handle');
    }
    for (const type of types ?? []) checkEventClass(type, 'type');
    for (const type of types ?? []) this.#registry.register(type);
    const subscriber: Subscriber = { types, handle };
    this.#subscribers.push(subscriber);
    if (this.#consumption !== undefined) this.#join(subscriber, this.#consumption);
  }

  /** One durable subscription for each handler, so that each retries alone. */
  #join({ types, handle }: Subscriber, consumption: Consumption): void {
    const { consumerGroup: group, streamName: streams } = this.config;
    const { consumerName: consumer, maxRetries } = this.config.options;
    const patterns = types === undefined ? '*' : types.map(({ eventType }) => eventType);
    const joined = this.client.subscribe<string | string[]>(
      patterns,
      (event) => handle(toDomainEvent(event, this.#registry)),
      { group, streams, consumer, maxRetries, concurrency: 1, orderBy: 'key' },
    );
    consumption.joined.push(joined);
    joined.catch((error) => {
      // One that is refused because the bus stops is no failure.
      if (this.#consumption !== consumption) return undefined;
      consumption.fail(error);
      return this.stopConsuming();
    });
  }
}

startAsyncStacksAtCaller(RedisEventBus, [
  'connect',
  'disconnect',
  'publish',
  'recoverPendingMessages',
  'getDlqMessages',
  'replayDlqMessage',
  'getStreamInfo',
]);
startStacksAtCaller(RedisEventBus, ['subscribe', 'subscribeAll', 'subscribeToAllEvents']);

/** Nothing is published live: the groups read the stream, from its beginning. */
function clientConfig({ streamName, consumerGroup, options }: RedisEventBusConfig): EventBusConfig {
  return {
    redis: {
      url: options.redisUrl,
      commandTimeout: options.socketTimeout * 1000,
      connectTimeout: options.socketConnectTimeout * 1000,
    },
    pubsub: false,
    streams: [
      {
        name: streamName,
        events: '*',
        consumerGroups: [{ name: consumerGroup, from: 'beginning' }],
      },
    ],
    deadLetter: { enabled: options.enableDlq, suffix: options.dlqStreamSuffix },
  };
}

function newConsumption(): Consumption {
  let end = () => {};
  let fail: Consumption['fail'] = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  return { ended, end, fail, joined: [] };
}

async function leave({ joined, end }: Consumption): Promise<void> {
  const settled = await Promise.allSettled(joined);
  await Promise.all(
    settled.map((one) => one.status === 'fulfilled' && one.value.unsubscribe({ wait: true })),
  );
  end();
}
