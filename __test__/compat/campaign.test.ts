/** A program with the calls of campaign's document, written anew, on the adapter. */

import {
  EventPublisher,
  RealTimeSubscriber,
  type ReceivedEvent,
  RedisConnectionManager,
  RedisEventBus,
  STREAM_CONFIGS,
  StreamConsumer,
  WebSocketEventBridge,
} from '../../compat/campaign';
import { inBothPlaces } from '../support/compat';
import { eventually, Gate } from '../support/eventually';
import { RedisServer } from '../support/redis-server';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';

const at = new Date('2026-01-02T03:04:05.678Z');
const changed = (campaignId: string) => ({
  metadata: {
    eventId: `changed-${campaignId}`,
    eventType: 'campaign.status.changed',
    timestamp: at,
    source: 'main-api',
    correlationId: 'request-1',
    causationId: 'command-1',
  },
  data: { campaignId, status: 'live' },
});
const event = (eventType: string, data: object = {}) => ({ metadata: { eventType }, data });

test('the streams are those of the document', () => {
  expect(STREAM_CONFIGS.map(({ name, maxLength }) => [name, maxLength])).toEqual([
    ['campaign-events', 10_000],
    ['timer-events', 5000],
    ['notification-events', 2000],
    ['system-events', 1000],
  ]);
  expect(STREAM_CONFIGS.flatMap(({ consumerGroups = [] }) => consumerGroups)).toHaveLength(9);
});

inBothPlaces((place) => {
  const open = async (options: object = {}) => {
    const { redis, ...others } = place.options;
    const bus = place.closing(new RedisEventBus(redis, { ...others, ...options }));
    await bus.initialize();
    return bus;
  };

  test('an event is stored for its groups and published to its channel', async () => {
    const bus = await open();
    const handled: ReceivedEvent[] = [];
    const seen: [string, string][] = [];
    const config = {
      groupName: 'lifecycle-service',
      consumerName: 'worker-1',
      streamName: 'campaign-events',
      batchSize: 10,
      blockTime: 5000,
      processingTimeout: 30_000,
    };
    const consumer = new StreamConsumer(bus, config, async (one) => void handled.push(one));
    await consumer.start();
    const live = new RealTimeSubscriber(bus);
    const keep = (name: string) => (one: ReceivedEvent) =>
      void seen.push([name, one.metadata.eventType]);
    await live.subscribe('campaign:7', keep('one campaign'));
    await live.subscribe('campaign:*:status', keep('any status'));
    const publisher = new EventPublisher(bus);

    const messageId = await publisher.publishCampaignEvent(changed('7'));
    await publisher.publishCampaignEvent(event('campaign.created', { campaignId: '7' }));
    await publisher.publishNotificationEvent(changed('8'));

    expect(messageId).toMatch(/^\d+-\d+$/);
    await eventually(() => handled.length === 2 && seen.length === 2);
    expect(handled[0]).toEqual(changed('7'));
    expect(handled[1]?.metadata.eventType).toBe('campaign.created');
    expect(seen.sort()).toEqual([
      ['any status', 'campaign.status.changed'],
      ['one campaign', 'campaign.status.changed'],
    ]);
    await consumer.stop();
    const { groups, length } = await bus.client.streams.info('campaign-events');
    expect(length).toBe(2);
    expect(groups.find(({ name }) => name === 'lifecycle-service')?.pending).toBe(0);
    expect((await bus.client.streams.info('notification-events')).length).toBe(1);
  });

  test('timer events are stored, and notifications find their channels', async () => {
    const bus = await open();
    const publisher = new EventPublisher(bus);
    const live = new RealTimeSubscriber(bus);
    const seen: string[] = [];
    for (const channel of ['timer:*:executed', 'system:alerts', 'notifications:general']) {
      await live.subscribe(channel, () => void seen.push(channel));
    }
    await publisher.publishTimerEvent(event('timer.executed', { timerId: 't' }));
    await publisher.publishNotificationEvent(event('timer.executed', { timerId: 't' }));
    await publisher.publishNotificationEvent(event('system.alert'));
    await publisher.publishNotificationEvent(event('notification.sent'));
    await eventually(() => seen.length === 3);
    expect(seen).toEqual(['timer:*:executed', 'system:alerts', 'notifications:general']);
    expect((await bus.client.streams.info('timer-events')).length).toBe(1);
  });

  test('what is only stored is heard by nobody live', async () => {
    const bus = await open();
    const heard: string[] = [];
    await bus.client.subscribe('*', ({ type }) => void heard.push(type));
    const publisher = new EventPublisher(bus);
    await publisher.publishCampaignEvent(event('campaign.created', { campaignId: '7' }));
    await publisher.publishTimerEvent(event('timer.executed', { timerId: 't' }));
    await bus.client.publish('marker', 1);
    await eventually(() => heard.includes('marker'));
    expect(heard).toEqual(['marker']);
  });

  test('a consumer handles one event at a time', async () => {
    const bus = await open();
    let running = 0;
    let most = 0;
    let handled = 0;
    const config = { groupName: 'audit-service', streamName: 'timer-events' };
    const consumer = new StreamConsumer(bus, config, async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      handled += 1;
    });
    await consumer.start();
    const publisher = new EventPublisher(bus);
    const published = Array.from({ length: 20 }, () =>
      publisher.publishTimerEvent(event('timer.executed')),
    );
    await Promise.all(published);
    await eventually(() => handled === 20);
    expect(most).toBe(1);
  });

  test('a handler that fails is called again, and its event ends among the dead letters', async () => {
    const bus = await open({ retry: { initialDelay: 1 } });
    let calls = 0;
    const config = { groupName: 'audit-service', streamName: 'timer-events' };
    const consumer = new StreamConsumer(bus, config, () => {
      calls += 1;
      throw new Error('the database is away');
    });
    await consumer.start();
    await new EventPublisher(bus).publishTimerEvent(event('timer.executed'));
    await eventually(async () => (await bus.client.deadLetters.count('timer-events')) === 1);
    expect(calls).toBe(4);
  });

  test('the bridge hands events to the rooms of Socket.IO', async () => {
    const bus = await open();
    const emitted: unknown[] = [];
    const emitter = (room: string) => ({
      emit: (name: string, one: ReceivedEvent) => emitted.push([room, name, one.data]),
    });
    const io = { to: emitter, emit: emitter('all').emit };
    await new WebSocketEventBridge(io, bus).ready;
    const publisher = new EventPublisher(bus);
    const timer = { timerId: 't', campaignId: '9' };
    await publisher.publishNotificationEvent(changed('7'));
    await publisher.publishNotificationEvent(event('timer.executed', timer));
    await publisher.publishNotificationEvent(event('system.alert', { text: 'hot' }));
    await eventually(() => emitted.length === 3);
    expect(emitted).toEqual([
      ['campaign:7', 'campaign.status.updated', { campaignId: '7', status: 'live' }],
      ['campaign:9', 'timer.executed', timer],
      ['all', 'system.alert', { text: 'hot' }],
    ]);
  });

  test('a bridge that nobody waits for ends with its bus', async () => {
    const { redis, ...others } = place.options;
    const bus = new RedisEventBus(redis, others);
    const io = { to: () => ({ emit() {} }), emit() {} };
    const bridge = new WebSocketEventBridge(io, bus);
    await bus.disconnect();
    await bridge.ready;
  });

  test('subscriptions of channels end', async () => {
    const bus = await open();
    const live = new RealTimeSubscriber(bus);
    const handler = () => {};
    await Promise.all([live.subscribe('a', handler), live.subscribe('a', handler)]);
    expect(bus.client.subscriberCount()).toBe(1);
    expect(await live.unsubscribe('b', handler)).toBe(false);
    expect(await live.unsubscribe('a', handler)).toBe(true);
    expect(await live.unsubscribe('a', handler)).toBe(false);
    expect(bus.client.subscriberCount()).toBe(0);
  });

  test('it can be watched, and waited for', async () => {
    const { redis, ...others } = place.options;
    const bus = place.closing(new RedisEventBus(redis, others));
    let ready = 0;
    const listener = () => {
      ready += 1;
    };
    bus
      .on('ready', listener)
      .once('ready', listener)
      .off('ready', () => {});
    void bus.initialize();
    await new RedisConnectionManager(bus).waitForConnection();
    await eventually(() => ready === 2);
    expect((await bus.healthCheck()).status).toBe('healthy');
    expect(await bus.metrics()).toContain('eventbus_messages_published_total');
  });

  test('what is wrong is said', async () => {
    const bus = await open();
    const publisher = new EventPublisher(bus);
    const code = async (call: Promise<unknown>) => {
      const { code, path } = await rejection(call);
      return [code, path];
    };
    expect(await code(publisher.publishCampaignEvent(event('campaign.error')))).toEqual([
      'ERR_BUS_INVALID_DATA',
      'data.campaignId',
    ]);
    expect((await code(publisher.publishTimerEvent(undefined as never)))[0]).toBe(
      'ERR_BUS_INVALID_EVENT',
    );
    expect((await code(publisher.publishTimerEvent({ data: 1 } as never)))[0]).toBe(
      'ERR_BUS_INVALID_EVENT',
    );
    expect((await code(publisher.publishTimerEvent({ metadata: {}, data: 1 } as never)))[0]).toBe(
      'ERR_BUS_INVALID_TYPE',
    );
    expect(await code(new RealTimeSubscriber(bus).subscribe(7 as never, () => {}))).toEqual([
      'ERR_BUS_INVALID_OPTIONS',
      'channel',
    ]);
    expect(await code(new RealTimeSubscriber(bus).subscribe('a', 'b' as never))).toEqual([
      'ERR_BUS_INVALID_OPTIONS',
      'handler',
    ]);
    const config = { groupName: 'g', streamName: 's' };
    const made = (...args: unknown[]) => {
      try {
        Reflect.construct(StreamConsumer, args);
      } catch (error) {
        const { code, path } = error as { code: string; path: string };
        return [code, path];
      }
      return undefined;
    };
    const invalid = 'ERR_BUS_INVALID_OPTIONS';
    expect(made({}, config, () => {})).toEqual([invalid, 'bus']);
    expect(made(bus, { streamName: 's' }, () => {})).toEqual([invalid, 'groupName']);
    expect(made(bus, { ...config, group: 'g' }, () => {})).toEqual([invalid, 'group']);
    expect(made(bus, config, undefined)).toEqual([invalid, 'eventHandler']);
    await expect(new StreamConsumer(bus, config, () => {}).start()).rejects.toMatchObject({
      code: 'ERR_BUS_NO_STREAM',
    });
    expect(() => new RedisEventBus(undefined, { servicename: 'x' } as never)).toThrow(
      'serviceName',
    );
    expect(() => new WebSocketEventBridge({} as never, bus)).toThrow('io.to');
  });
});

test('a channel is subscribed to when the server comes', async () => {
  const server = await RedisServer.start();
  const redis = { url: server.url, commandTimeout: 1000, connectTimeout: 50 };
  const logger = keepingLogger();
  const bus = new RedisEventBus(redis, { logger });
  try {
    await server.kill();
    const handled = new Gate<string>();
    const subscribed = new RealTimeSubscriber(bus).subscribe('system:*', ({ metadata }) =>
      handled.open(metadata.eventType),
    );
    // Longer than a command may take.
    await rejection(bus.client.waitUntilReady({ timeout: 1500 }));
    await server.restart();
    await subscribed;
    await bus.client.waitUntilReady({ timeout: 10_000 });
    await new EventPublisher(bus).publishNotificationEvent(event('system.alert'));
    expect(await handled.opened).toBe('system.alert');
  } finally {
    await bus.disconnect();
    await server.stop();
  }
});
