/** `oxbus/compat/campaign`: `compat/campaign.d.ts` describes it. */

import type {
  ConsumerConfig,
  Event,
  EventHandler,
  ReceivedEvent,
  SocketServer,
} from '../../compat/campaign';
import type {
  BusEvent,
  EventBusClient as Client,
  EventBusConfig,
  GroupSubscribeOptions,
  HealthReport,
  PublishOptions,
  PublishResult,
  RedisConfig,
  StreamConfig,
  SubscribeOptions,
  Subscription,
} from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { EventBusClient } from '../client/client';
import { EventBusError, invalidAt } from '../errors';
import { copyPlain } from '../input/json';
import { copyOptions, readName, refuseUnknown } from '../input/options';
import { checkFunction, checkInstance, withDefaults } from './arguments';
import { EventsOfClient } from './client-events';

const REAL_TIME = ['campaign.status.changed', 'campaign.timer.executed', 'campaign.error'];
const HOUR = 3_600_000;

export const STREAM_CONFIGS: readonly StreamConfig[] = [
  {
    name: 'campaign-events',
    events: 'campaign.*',
    maxLength: 10_000,
    consumerGroups: ['lifecycle-service', 'analytics-service', 'audit-service'],
    realtime: REAL_TIME,
  },
  {
    name: 'timer-events',
    events: 'timer.*',
    maxLength: 5000,
    consumerGroups: ['monitoring-service', 'audit-service'],
    realtime: false,
  },
  {
    name: 'notification-events',
    events: 'notification.*',
    maxLength: 2000,
    consumerGroups: ['websocket-service', 'email-service', 'push-service'],
    retention: 'time',
    retentionValue: 24 * HOUR,
  },
  {
    name: 'system-events',
    events: 'system.*',
    maxLength: 1000,
    consumerGroups: ['monitoring-service'],
    retention: 'time',
    retentionValue: HOUR,
  },
];

export class RedisEventBus extends EventsOfClient {
  readonly client: Client;

  constructor(redis?: string | RedisConfig, options?: Omit<EventBusConfig, 'redis'>) {
    super();
    const given = copyPlain(options ?? {}, 'ERR_BUS_INVALID_CONFIG', 'configuration');
    this.client = new EventBusClient(
      withDefaults({ streams: STREAM_CONFIGS }, { ...given, redis }),
    );
  }

  initialize(): Promise<void> {
    return this.client.connect();
  }

  disconnect(options?: { timeout?: number | undefined }): Promise<void> {
    return this.client.disconnect(options);
  }

  healthCheck(): Promise<HealthReport> {
    return this.client.healthCheck();
  }

  metrics(): Promise<string> {
    return this.client.metrics();
  }
}

export class EventPublisher {
  readonly #client: Client;

  constructor(bus: RedisEventBus) {
    this.#client = clientOf(bus);
  }

  publishCampaignEvent(event: Event): Promise<string> {
    const sent = toPublish(event, 'campaign-events');
    const channel = REAL_TIME.includes(sent.type) ? `campaign:${idIn(sent, 'campaignId')}` : null;
    return this.#publish(sent, channel).then(messageIdOf);
  }

  publishTimerEvent(event: Event): Promise<string> {
    return this.#publish(toPublish(event, 'timer-events'), null).then(messageIdOf);
  }

  publishNotificationEvent(event: Event): Promise<void> {
    const sent = toPublish(event, 'notification-events');
    return this.#publish(sent, notificationChannel(sent)).then(() => undefined);
  }

  /** In the stream, and in the same step on the channel, if there is one. */
  #publish({ type, data, options }: Sent, channel: string | null): Promise<PublishResult> {
    return channel === null
      ? this.#client.publish(type, data, options)
      : this.#client.publishToRoom(channel, type, data, options);
  }
}

export class StreamConsumer {
  readonly #client: Client;
  readonly #handler: EventHandler;
  readonly #options: GroupSubscribeOptions;
  #subscribed: Promise<Subscription> | undefined;

  constructor(
    bus: RedisEventBus,
    config: ConsumerConfig,
    eventHandler: EventHandler,
    options?: SubscribeOptions,
  ) {
    this.#client = clientOf(bus);
    const {
      groupName,
      streamName,
      consumerName,
      processingTimeout,
      batchSize,
      blockTime,
      ...rest
    } = copyOptions(config) as Partial<ConsumerConfig>;
    refuseUnknown(rest, 'options', CONSUMER_OPTIONS);
    checkFunction(eventHandler, 'eventHandler');
    this.#handler = eventHandler;
    this.#options = {
      concurrency: 1,
      ...copyOptions(options),
      group: readName(groupName, 'groupName'),
      streams: readName(streamName, 'streamName'),
      consumer: consumerName,
      timeout: processingTimeout,
    };
  }

  start(): Promise<void> {
    this.#subscribed ??= this.#client.subscribe('*', calling(this.#handler), this.#options);
    const subscribed = this.#subscribed;
    return subscribed.then(
      () => undefined,
      (error) => {
        if (this.#subscribed === subscribed) this.#subscribed = undefined;
        throw error;
      },
    );
  }

  stop(): Promise<void> {
    const subscribed = this.#subscribed;
    this.#subscribed = undefined;
    return ending(subscribed).then(() => undefined);
  }
}

export class RealTimeSubscriber {
  readonly #client: Client;
  readonly #subscribed = new Map<string, Map<EventHandler, Promise<Subscription>>>();

  constructor(bus: RedisEventBus) {
    this.#client = clientOf(bus);
  }

  subscribe(channel: string, handler: EventHandler): Promise<void> {
    checkFunction(handler, 'handler');
    const pattern = `room:${readName(channel, 'channel')}`;
    const handlers = this.#subscribed.get(channel) ?? new Map();
    this.#subscribed.set(channel, handlers);
    const subscribed =
      handlers.get(handler) ??
      this.#client.subscribe(pattern, calling(handler), { whenReady: true });
    handlers.set(handler, subscribed);
    return subscribed.then(
      () => undefined,
      (error: unknown) => {
        if (handlers.get(handler) === subscribed) this.#forget(channel, handler);
        throw error;
      },
    );
  }

  unsubscribe(channel: string, handler: EventHandler): Promise<boolean> {
    const subscribed = this.#subscribed.get(channel)?.get(handler);
    this.#forget(channel, handler);
    return ending(subscribed);
  }

  #forget(channel: string, handler: EventHandler): void {
    const handlers = this.#subscribed.get(channel);
    handlers?.delete(handler);
    if (handlers?.size === 0) this.#subscribed.delete(channel);
  }
}

export class WebSocketEventBridge {
  readonly ready: Promise<void>;

  constructor(io: SocketServer, bus: RedisEventBus) {
    checkFunction(io?.to, 'io.to');
    checkFunction(io.emit, 'io.emit');
    const live = new RealTimeSubscriber(bus);
    const toCampaign = (name: string) => (event: ReceivedEvent) =>
      io.to(`campaign:${idIn(event, 'campaignId')}`).emit(name, event);
    const all = [
      live.subscribe('campaign:*:status', toCampaign('campaign.status.updated')),
      live.subscribe('timer:*:executed', toCampaign('timer.executed')),
      live.subscribe('system:alerts', (event) => io.emit('system.alert', event)),
    ];
    // Nobody has to wait for it, so the end of the bus must not become a rejection that nobody handles.
    this.ready = Promise.all(all).then(
      () => undefined,
      (error) => {
        if (!(error instanceof EventBusError && error.code === 'ERR_BUS_CLOSED')) throw error;
      },
    );
  }
}

export class RedisConnectionManager {
  readonly #client: Client;

  constructor(bus: RedisEventBus) {
    this.#client = clientOf(bus);
  }

  waitForConnection(timeout = 30_000): Promise<void> {
    return this.#client.waitUntilReady({ timeout });
  }
}

startAsyncStacksAtCaller(RedisEventBus, ['initialize', 'disconnect']);
startAsyncStacksAtCaller(EventPublisher, [
  'publishCampaignEvent',
  'publishTimerEvent',
  'publishNotificationEvent',
]);
startAsyncStacksAtCaller(StreamConsumer, ['start', 'stop']);
startAsyncStacksAtCaller(RealTimeSubscriber, ['subscribe', 'unsubscribe']);
startAsyncStacksAtCaller(RedisConnectionManager, ['waitForConnection']);

const CONSUMER_OPTIONS = [
  'groupName',
  'streamName',
  'consumerName',
  'processingTimeout',
  'batchSize',
  'blockTime',
];

function clientOf(bus: RedisEventBus): Client {
  checkInstance(bus, RedisEventBus, 'bus');
  return bus.client;
}

/** The arguments of a publish. */
interface Sent {
  type: string;
  data: unknown;
  options: PublishOptions;
}

function toPublish(event: unknown, stream: string): Sent {
  const { metadata, data } = copyPlain(event, 'ERR_BUS_INVALID_EVENT', 'event');
  const { eventId, eventType, timestamp, source, correlationId, causationId } = copyPlain(
    metadata,
    'ERR_BUS_INVALID_EVENT',
    'metadata of the event',
  );
  const options = { id: eventId, timestamp, source, correlationId, causationId, stream };
  return { type: eventType as string, data, options: options as PublishOptions };
}

function notificationChannel(sent: Sent): string {
  switch (sent.type) {
    case 'campaign.status.changed':
      return `campaign:${idIn(sent, 'campaignId')}:status`;
    case 'timer.executed':
      return `timer:${idIn(sent, 'timerId')}:executed`;
    case 'system.alert':
      return 'system:alerts';
    default:
      return 'notifications:general';
  }
}

/** The field of the data that names a channel. Throws `INVALID_DATA` if there is none. */
function idIn({ data }: { data: unknown }, name: string): string | number {
  const id = (data as Record<string, unknown> | null | undefined)?.[name];
  if ((typeof id === 'string' && id !== '') || typeof id === 'number') return id;
  throw invalidAt('ERR_BUS_INVALID_DATA', `data.${name}`, 'names the channel: must be given');
}

/** What a stream stores has a message id. */
const messageIdOf = ({ messageId }: PublishResult) => messageId as string;

const calling = (handler: EventHandler) => (event: BusEvent) => handler(toReceived(event));

function toReceived({ id, type, data, metadata }: BusEvent): ReceivedEvent {
  const { timestamp, source, correlationId, causationId } = metadata;
  const known = { eventId: id, eventType: type, timestamp: new Date(timestamp), source };
  return { metadata: { ...known, correlationId, causationId }, data };
}

/** Ends a subscription, or one that is being made; false if there is none. */
async function ending(subscribed: Promise<Subscription> | undefined): Promise<boolean> {
  const subscription = await subscribed?.catch(() => undefined);
  return (await subscription?.unsubscribe({ wait: true })) ?? false;
}
