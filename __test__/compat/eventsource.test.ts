/** A program with the calls of eventsource's document in camel case, written anew, on the adapter. */

import {
  DomainEvent,
  defaultRegistry,
  defineEvent,
  EventRegistry,
  RedisEventBus,
  RedisEventBusConfig,
  type RedisEventBusOptions,
  registerEvent,
} from '../../compat/eventsource';
import { inBothPlaces, type Place } from '../support/compat';
import { eventually, Gate } from '../support/eventually';
import { freePort } from '../support/redis-server';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';

class OrderCreated extends defineEvent<{ customerId: string; totalAmount: number }>(
  'OrderCreated',
  'Order',
) {}
class OrderShipped extends defineEvent<{ trackingNumber: string }>('OrderShipped', 'Order') {}

const created = (aggregateId: string, totalAmount = 10) =>
  new OrderCreated({ aggregateId, customerId: 'cust-1', totalAmount });

function opener(place: Place) {
  return async (config: RedisEventBusOptions = {}, eventRegistry = new EventRegistry()) => {
    const { redis, ...client } = place.options;
    const bus = new RedisEventBus({
      config: { redisUrl: redis, ...config },
      eventRegistry,
      client: { retry: { initialDelay: 1 }, ...client },
    });
    place.closing(bus);
    await bus.connect();
    return bus;
  };
}

describe('domain events', () => {
  test('what is not given is filled in', () => {
    const event = created('order-1', 99.99);
    expect(event).toBeInstanceOf(DomainEvent);
    expect(event).toMatchObject({
      eventType: 'OrderCreated',
      aggregateType: 'Order',
      aggregateId: 'order-1',
      aggregateVersion: 1,
      eventVersion: 1,
      tenantId: null,
      totalAmount: 99.99,
    });
    expect(event.eventId).toMatch(/^[0-9a-f-]{36}$/);
    expect(event.occurredAt).toBeInstanceOf(Date);
  });

  test('a class of its own has its name as the type', () => {
    class OrderPaid extends DomainEvent {
      static override readonly aggregateType = 'Order';
    }
    expect(new OrderPaid({ aggregateId: '1' })).toMatchObject({
      eventType: 'OrderPaid',
      aggregateType: 'Order',
    });
    expect(registerEvent(OrderPaid)).toBe(OrderPaid);
    expect(defaultRegistry.get('OrderPaid')).toBe(OrderPaid);
  });

  test('a registry has one class for a type', () => {
    const registry = new EventRegistry();
    registerEvent(OrderCreated, registry);
    registry.register(OrderCreated);
    expect([registry.has('OrderCreated'), registry.has('OrderShipped')]).toEqual([true, false]);
    class Another extends defineEvent('OrderCreated', 'Order') {}
    expect(() => registry.register(Another)).toThrow('OrderCreated');
    expect(() => registry.register(Date as never)).toThrow('class of events');
  });

  test('what is wrong is said', () => {
    expect(() => new OrderCreated(undefined as never)).toThrow('plain object');
    expect(() => new OrderCreated({} as never)).toThrow('aggregateId');
    expect(() => new DomainEvent({ aggregateId: '1', occurredAt: 1 as never })).toThrow(
      'occurredAt',
    );
    expect(() => defineEvent(undefined as never, 'Order')).toThrow('eventType');
  });
});

test('the configuration names its streams', () => {
  const config = new RedisEventBusConfig({ streamPrefix: 'orders' });
  expect([config.streamName, config.dlqStreamName]).toEqual(['orders:stream', 'orders:stream_dlq']);
  expect(new RedisEventBusConfig()).toMatchObject({
    consumerGroup: 'default',
    options: { streamPrefix: 'events', maxRetries: 3, pendingIdleMs: 60_000, socketTimeout: 5 },
  });
  new RedisEventBusConfig({ singleConnectionClient: true, blockMs: 500, enableTracing: true });
  expect(() => new RedisEventBusConfig({ prefix: 'a' } as never)).toThrow('config.prefix');
  expect(() => new RedisEventBusConfig({ streamPrefix: 1 } as never)).toThrow('streamPrefix');
});

inBothPlaces((place) => {
  const open = opener(place);

  test('an event reaches its handler as what it was', async () => {
    const bus = await open({ streamPrefix: 'demo' });
    const received: OrderCreated[] = [];
    const event = new OrderCreated({
      aggregateId: 'order-1',
      aggregateVersion: 3,
      customerId: 'cust-123',
      totalAmount: 99.99,
      tenantId: 'tenant-1',
      actorId: 'user-1',
      correlationId: 'request-1',
      metadata: { channel: 'web' },
    });
    bus.subscribe(OrderCreated, async (one) => void received.push(one));
    await bus.publish([event]);
    expect(bus.isConsuming).toBe(false);
    const consuming = bus.startConsuming();
    expect(bus.startConsuming()).toBe(consuming);
    expect(bus.isConsuming).toBe(true);
    await eventually(() => received.length === 1);
    await bus.stopConsuming();
    await consuming;
    expect(bus.isConsuming).toBe(false);
    expect(received[0]).toBeInstanceOf(OrderCreated);
    expect({ ...received[0] }).toEqual({ ...event });
  });

  test('consumers of a group share the events, and another group gets all', async () => {
    const config = { streamPrefix: 'orders', consumerGroup: 'processors' };
    const first = await open({ ...config, consumerName: 'worker-1' });
    const second = await open({ ...config, consumerName: 'worker-2' });
    const third = await open({ ...config, consumerGroup: 'notifications' });
    const handled: [string, string][] = [];
    const buses = { first, second, third };
    for (const [name, bus] of Object.entries(buses)) {
      bus.subscribe(OrderCreated, (event) => void handled.push([name, event.aggregateId]));
    }
    const consuming = Object.values(buses).map((bus) => bus.startConsuming());
    await first.publish(Array.from({ length: 10 }, (_, i) => created(`order-${i}`)));
    await eventually(() => handled.length === 20);
    const ids = (names: string[]) =>
      handled.flatMap(([name, id]) => (names.includes(name) ? [id] : [])).sort();
    expect(ids(['first', 'second'])).toEqual(ids(['third']));
    const info = await first.getStreamInfo();
    expect(info).toMatchObject({
      connected: true,
      stream: { name: 'orders:stream', length: 10 },
      activeConsumers: 2,
      dlqMessages: 0,
    });
    expect(info.consumerGroups.map(({ name }) => name).sort()).toEqual([
      'notifications',
      'processors',
    ]);
    expect(info.stream.firstEntryId).toMatch(/^\d+-\d+$/);
    await Promise.all(Object.values(buses).map((bus) => bus.stopConsuming()));
    await Promise.all(consuming);
    expect((await first.getStreamInfo()).pendingMessages).toBe(0);
  });

  test('a projection gets its types, an auditor all, and a repository publishes through the bus', async () => {
    const bus = await open();
    const projection = {
      orders: 0,
      revenue: 0,
      shipped: 0,
      subscribedTo: () => [OrderCreated, OrderShipped],
      async handle(event: DomainEvent) {
        if (event instanceof OrderCreated) {
          this.orders += 1;
          this.revenue += event.totalAmount;
        } else this.shipped += 1;
      },
    };
    const auditor = {
      log: [] as string[],
      handle(event: DomainEvent) {
        this.log.push(`${event.eventType} ${event.aggregateVersion}`);
      },
    };
    bus.subscribeAll(projection);
    bus.subscribeToAllEvents(auditor);
    bus.subscribe(OrderShipped, () => {});
    expect(bus.getSubscriberCount()).toBe(3);
    expect(bus.getSubscriberCount(OrderShipped)).toBe(2);
    expect(bus.getWildcardSubscriberCount()).toBe(1);
    void bus.startConsuming();

    const aggregateId = 'order-1';
    const repository = {
      eventPublisher: bus,
      save: (events: DomainEvent[]) => bus.publish(events),
    };
    await repository.save([
      new OrderCreated({ aggregateId, customerId: 'c', totalAmount: 499.99 }),
      new OrderShipped({ aggregateId, trackingNumber: 'TRACK-1', aggregateVersion: 2 }),
    ]);
    await eventually(() => auditor.log.length === 2 && projection.shipped === 1);
    expect(projection).toMatchObject({ orders: 1, revenue: 499.99, shipped: 1 });
    expect(auditor.log).toEqual(['OrderCreated 1', 'OrderShipped 2']);
    await eventually(() => bus.getStatsDict().eventsProcessedSuccess === 5);
    expect(bus.getStatsDict()).toMatchObject({ eventsPublished: 2, eventsProcessedFailed: 0 });
  });

  test('a handler that comes while the bus consumes gets what comes then', async () => {
    const bus = await open();
    void bus.startConsuming();
    const seen: string[] = [];
    bus.subscribe(OrderCreated, (event) => void seen.push(event.aggregateId));
    await bus.publish([created('order-1')]);
    await eventually(() => seen.length === 1);
  });

  test('what fails is among the dead letters, and is replayed for its group alone', async () => {
    const bus = await open({ maxRetries: 1 });
    const other = await open({ consumerGroup: 'other' });
    let broken = true;
    const calls: string[] = [];
    bus.subscribe(OrderCreated, () => {
      calls.push('first');
      if (broken) throw new Error('the read model is away');
    });
    bus.subscribe(OrderCreated, () => void calls.push('second'));
    other.subscribe(OrderCreated, () => void calls.push('other'));
    void bus.startConsuming();
    void other.startConsuming();
    await bus.publish([created('order-1')]);
    await eventually(async () => (await bus.getStreamInfo()).dlqMessages === 1);
    // The handler that succeeded is not called again.
    expect(calls.sort()).toEqual(['first', 'first', 'other', 'second']);
    const [letter] = await bus.getDlqMessages({ count: 10 });
    expect(letter?.data).toMatchObject({
      eventType: 'OrderCreated',
      retryCount: 1,
      error: 'the read model is away',
    });
    expect(letter?.data.originalMessageId).toMatch(/^\d+-\d+$/);
    expect(Date.parse(letter?.data.dlqTimestamp ?? '')).toBeGreaterThan(0);
    broken = false;
    calls.length = 0;
    expect(await bus.replayDlqMessage(letter?.messageId ?? '')).toBe(true);
    expect(await bus.replayDlqMessage(letter?.messageId ?? '')).toBe(false);
    await eventually(() => calls.length >= 2);
    expect(calls).not.toContain('other');
    expect(await bus.getDlqMessages()).toEqual([]);
    expect(bus.getStatsDict()).toMatchObject({ messagesSentToDlq: 1, handlerErrors: 2 });
  });

  test('an event without a class is kept as a dead letter', async () => {
    const bus = await open();
    const seen: string[] = [];
    bus.subscribeToAllEvents((event) => void seen.push(event.eventType));
    void bus.startConsuming();
    await bus.publish([created('order-1')]);
    await eventually(async () => (await bus.getDlqMessages()).length === 1);
    expect(seen).toEqual([]);
    const [letter] = await bus.getDlqMessages();
    expect(letter?.data).toMatchObject({ retryCount: 0 });
    expect(letter?.data.error).toContain('OrderCreated');
    expect(await bus.client.streams.exists(bus.config.dlqStreamName)).toBe(true);
  });

  test('the events of an aggregate keep their order through a retry', async () => {
    const { redis, ...client } = place.options;
    const retry = { initialDelay: 50, jitter: 'none' } as const;
    const bus = place.closing(
      new RedisEventBus({ config: { redisUrl: redis }, client: { ...client, retry } }),
    );
    const calls: string[] = [];
    bus.subscribe(OrderCreated, ({ aggregateId, totalAmount }) => {
      calls.push(`${aggregateId} ${totalAmount}`);
      if (calls.length === 1) throw new Error('not yet');
    });
    await bus.publish([created('a', 1), created('a', 2), created('b', 3)]);
    void bus.startConsuming();
    await eventually(() => calls.length === 4);
    expect(calls.filter((call) => call.startsWith('a'))).toEqual(['a 1', 'a 1', 'a 2']);
  });

  test('nothing is published live', async () => {
    const bus = await open();
    expect((await rejection(bus.client.subscribe('*', () => {}))).code).toBe('ERR_BUS_NO_STREAM');
  });

  test('a group gets what was published before it was there', async () => {
    const first = await open();
    await first.publish([created('order-1')]);
    const late = await open({ consumerGroup: 'late' });
    const seen: string[] = [];
    late.subscribe(OrderCreated, (event) => void seen.push(event.aggregateId));
    void late.startConsuming();
    await eventually(() => seen.length === 1);
  });

  test('pending messages are counted as recovery finds them', async () => {
    const bus = await open();
    const gate = new Gate();
    let running = false;
    bus.subscribe(OrderCreated, () => {
      running = true;
      return gate.opened;
    });
    void bus.startConsuming();
    await bus.publish([created('order-1')]);
    await eventually(() => running);
    expect((await bus.getStreamInfo()).pendingMessages).toBe(1);
    // What runs here is renewed, and nobody else's.
    expect(await bus.recoverPendingMessages({ minIdleTimeMs: 30_000, batchSize: 10 })).toEqual({
      checked: 0,
      claimed: 0,
      reprocessed: 0,
      dlq: 0,
      failed: 0,
    });
    gate.open();
    await bus.stopConsuming();
  });

  test('what is wrong is said', async () => {
    const bus = await open();
    const path = async (call: Promise<unknown>) => (await rejection(call)).path;
    expect(await path(bus.publish(created('1') as never))).toBe('events');
    expect(await path(bus.publish([{ eventType: 'a' }] as never))).toBe('events[0]');
    const large = created('1', 'x'.repeat(600_000) as never);
    expect((await rejection(bus.publish([large]))).code).toBe('ERR_BUS_EVENT_TOO_LARGE');
    const both = await bus.publish([large, large]).catch((error) => error);
    expect(both).toBeInstanceOf(AggregateError);
    expect(both.errors).toHaveLength(2);
    expect(() => bus.subscribe(OrderCreated, undefined as never)).toThrow('handler');
    expect(() => bus.subscribe('OrderCreated' as never, () => {})).toThrow('class of events');
    expect(() => bus.subscribeAll({ handle() {} } as never)).toThrow('projection');
    expect(() => new RedisEventBus({ registry: 1 } as never)).toThrow('registry');
    expect(() => new RedisEventBus({ eventRegistry: {} } as never)).toThrow('eventRegistry');
    expect(() => new RedisEventBus({ client: { lease: 'x' } } as never)).toThrow('lease');
    expect(await path(bus.recoverPendingMessages({ minIdle: 1 } as never))).toBe('minIdle');
    expect(await path(bus.getDlqMessages({ limit: 1 } as never))).toBe('limit');
  });

  test('a consumer whose name is taken says so, and does not consume', async () => {
    const config = { consumerName: 'worker-1' };
    const [first, second] = [await open(config), await open({ ...config, socketTimeout: 0.2 })];
    for (const bus of [first, second]) bus.subscribe(OrderCreated, () => {});
    void first.startConsuming();
    await eventually(async () => (await first.getStreamInfo()).activeConsumers === 1);
    await expect(second.startConsuming()).rejects.toMatchObject({
      code: 'ERR_BUS_CONSUMER_IN_USE',
    });
    await eventually(() => !second.isConsuming);
  });
});

test('consuming that is stopped before the server has answered has not failed', async () => {
  const config = { redisUrl: `redis://127.0.0.1:${await freePort()}`, socketTimeout: 0.1 };
  const bus = new RedisEventBus({ config, client: { logger: keepingLogger() } });
  bus.subscribe(OrderCreated, () => {});
  const consuming = bus.startConsuming();
  await bus.stopConsuming();
  await consuming;
  await bus.disconnect();
});
