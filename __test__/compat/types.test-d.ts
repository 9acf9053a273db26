/** Compiled, never run: the types of the adapters. */

import type { EventBusManagerOptions, PublishResult, Subscription } from '../..';
import {
  RedisEventBus as CampaignBus,
  type ConsumerConfig,
  EventPublisher,
  RealTimeSubscriber,
  type ReceivedEvent,
  StreamConsumer,
} from '../../compat/campaign';
import {
  type EventPublisher as AggregatePublisher,
  type DomainEvent,
  defineEvent,
  EventRegistry,
  RedisEventBus,
  RedisEventBusConfig,
  type StatsDict,
} from '../../compat/eventsource';
import { EventBusClient, type PhotoEvents } from '../../compat/photo';
import { EventBusManager, type eventBusManager, type hybridEventBus } from '../../compat/platform';
import { RedisEventBus as SpineBus } from '../../compat/spine';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

export async function campaign(config: ConsumerConfig): Promise<void> {
  const bus = new CampaignBus({ host: 'localhost', port: 6379, database: 0, poolSize: 10 });
  await bus.initialize();
  bus.on('error', (error) => error.code.trim());
  // @ts-expect-error no such event
  bus.on('finished', () => {});
  const metadata = { eventType: 'campaign.created', timestamp: new Date() };
  const id: string = await new EventPublisher(bus).publishCampaignEvent({ metadata, data: {} });
  // @ts-expect-error an event has metadata
  await new EventPublisher(bus).publishTimerEvent({ type: id });
  await new StreamConsumer(bus, config, ({ metadata: { timestamp } }) => timestamp.getTime(), {
    maxRetries: 1,
  }).start();
  // @ts-expect-error the group is given by the configuration
  new StreamConsumer(bus, config, () => {}, { group: 'g' });
  // @ts-expect-error a stream is missing
  new StreamConsumer(bus, { groupName: 'g' }, () => {});
  const typed = (event: ReceivedEvent<{ campaignId: string }>) => event.data.campaignId.trim();
  await new RealTimeSubscriber(bus).subscribe('campaign:*:status', typed);
  // @ts-expect-error it takes a bus, and not a connection
  new RealTimeSubscriber({ publish() {} });
}

export async function photo(): Promise<void> {
  const bus = new EventBusClient<PhotoEvents>({
    serviceName: 'api',
    retryConfig: { maxRetries: 3, initialDelay: 1000, maxDelay: 10_000, backoffMultiplier: 2 },
  });
  const data = { photoId: '1', userId: '2' };
  const result: PublishResult = await bus.publish('photo.uploaded', data, { traceId: 't' });
  // @ts-expect-error a field is missing
  await bus.publish('photo.uploaded', { photoId: result.eventId });
  // @ts-expect-error no such type
  await bus.publish('photo.renamed', data);
  // @ts-expect-error the multiplier has another name
  new EventBusClient({ retryConfig: { multiplier: 2 } });
  const sub: Subscription = await bus.subscribe('photo.processing.*', (event, ctx) => {
    event.metadata.traceId.trim();
    ctx.signal.throwIfAborted();
    if (event.type === 'photo.processing.started') event.data.jobId.trim();
    // @ts-expect-error it is the other type
    else event.data.jobId.trim();
  });
  await bus.unsubscribe(sub.id);
  // @ts-expect-error no such type
  await bus.subscribe('photo.renamed', () => {});
  holds<Equal<ReturnType<typeof bus.joinRoom>, Promise<void>>>();
  (await bus.getStats()).eventsPublished.toFixed();
  await bus.client.publishBatch([{ type: 'photo.uploaded', data }]);
  const loose = new EventBusClient();
  await loose.publish('anything', { at: 'all' });
  await loose.subscribe('any.*', ({ data: { all } }) => all);
}

export async function platform(options: EventBusManagerOptions): Promise<void> {
  holds<Equal<typeof eventBusManager, EventBusManager>>();
  holds<Equal<typeof hybridEventBus, EventBusManager>>();
  const bus = new EventBusManager(options);
  await bus.publish({ type: 'booking.created', timestamp: new Date(), payload: { id: 1 } });
  await bus.publish({ type: 'booking.created', metadata: { id: 1 } }, { redisOnly: true });
  // @ts-expect-error no such field
  await bus.publish({ type: 'booking.created', data: 1 });
  const ids: string[] = await bus.subscribe<{ bookingId: string }>('booking.created', (event) => {
    event.metadata.bookingId.trim();
    event.payload.bookingId.trim();
    // @ts-expect-error no such member
    event.payload.id;
  });
  await bus.unsubscribe(ids);
  const [newest] = await bus.getHistory({ eventType: 'booking.*', limit: 50, source: 'redis' });
  newest?.timestamp.getTime();
  // @ts-expect-error it is called eventType
  await bus.getHistory({ type: 'booking.*' });
}

export async function spine(): Promise<void> {
  const bus = new SpineBus({ redisUrl: 'redis://localhost', enablePersistence: true });
  await bus.connect();
  holds<Equal<ReturnType<typeof bus.publish>, void>>();
  bus.publish({ id: '1', type: 'dream.created', payload: {}, timestamp: 1 });
  // @ts-expect-error an event has a payload
  bus.publish({ id: '1', type: 'dream.created', timestamp: 1 });
  // @ts-expect-error events are always published
  new SpineBus({ enablePubSub: false });
  const event = await bus.getEventFromRedis<{ dreamId: string }>('1');
  event?.payload.dreamId.trim();
  // @ts-expect-error it may be null
  event.payload;
}

class OrderCreated extends defineEvent<{ customerId: string; totalAmount: number }>(
  'OrderCreated',
  'Order',
) {}

export async function eventsource(): Promise<void> {
  const registry = new EventRegistry();
  registry.register(OrderCreated);
  const config = new RedisEventBusConfig({ streamPrefix: 'orders', consumerGroup: 'projections' });
  const bus = new RedisEventBus({ config, eventRegistry: registry, client: { mode: 'memory' } });
  bus.subscribe(OrderCreated, (event) => event.totalAmount.toFixed(event.aggregateVersion));
  bus.subscribe(OrderCreated, { handle: (event) => event.customerId.trim() });
  // @ts-expect-error no such field
  bus.subscribe(OrderCreated, (event) => event.trackingNumber);
  // @ts-expect-error it takes a class
  bus.subscribe('OrderCreated', () => {});
  const publisher: AggregatePublisher = bus;
  const aggregateId = config.streamName;
  const event = new OrderCreated({ aggregateId, customerId: 'c', totalAmount: 1 });
  // @ts-expect-error it is read-only
  event.totalAmount = 2;
  // @ts-expect-error a field is missing
  new OrderCreated({ aggregateId, customerId: 'c' });
  await publisher.publish([event]);
  // @ts-expect-error it takes an array
  await bus.publish(event);
  bus.subscribeAll({ subscribedTo: () => [OrderCreated], handle: (one) => one.eventType.trim() });
  bus.subscribeToAllEvents((one: DomainEvent) => one.occurredAt.getTime());
  const { dlq } = await bus.recoverPendingMessages({ minIdleTimeMs: 60_000, maxRetries: 3 });
  const stats: StatsDict = bus.getStatsDict();
  for (const { messageId, data } of await bus.getDlqMessages({ count: dlq })) {
    if (data.retryCount < stats.handlerErrors) await bus.replayDlqMessage(messageId);
  }
}
