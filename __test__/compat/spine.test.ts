/** A program with the calls of spine's document, written anew, on the adapter. */

import { type EventEnvelope, RedisEventBus, type RedisEventBusConfig } from '../../compat/spine';
import { inBothPlaces } from '../support/compat';
import { eventually } from '../support/eventually';
import { freePort } from '../support/redis-server';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';

const created = (id: string) => ({
  id,
  type: 'dream.created',
  payload: { dreamId: 'dream-123' },
  timestamp: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
});

inBothPlaces((place) => {
  const open = async (config: RedisEventBusConfig = {}) => {
    const { redis: redisUrl, ...others } = place.options;
    const bus = place.closing(
      new RedisEventBus({ redisUrl, serviceName: 'dreams', ...others, ...config }),
    );
    await bus.connect();
    return bus;
  };

  test('an event is published, kept and found', async () => {
    const [bus, other] = [await open(), await open()];
    const seen: EventEnvelope[] = [];
    await bus.subscribe('dream.*', (event) => void seen.push(event));
    await other.subscribe('dream.created', (event) => void seen.push(event));
    expect(bus.publish(created('event-123'))).toBeUndefined();
    await eventually(() => seen.length === 2);
    const received = { ...created('event-123'), source: 'dreams' };
    expect(seen).toEqual([received, received]);
    await eventually(async () => (await other.getEventFromRedis('event-123')) !== null);
    expect(await other.getEventFromRedis('event-123')).toEqual(received);
    expect(await other.getEventFromRedis('event-124')).toBeNull();
    expect(bus.eventsUnsent).toBe(0);
    bus.publish({ ...seen[0]!, id: 'event-125' });
    await eventually(() => seen.length === 4);
    expect(seen[3]?.source).toBe('dreams');
  });

  test('keys and channels are those of the document', async () => {
    const bus = await open();
    expect((await bus.client.publish('dream.created', {})).channel).toBe(
      'dreamnet:events:dream.created',
    );
    if (place.server === undefined) return;
    bus.publish(created('event-1'));
    await eventually(async () => (await bus.getEventFromRedis('event-1')) !== null);
    const ttl = Number((await place.server.command('PTTL dreamnet:events:event:event-1')).slice(1));
    expect(ttl).toBeGreaterThan(86_300_000);
  });

  test('without persistence nothing is kept', async () => {
    const bus = await open({ enablePersistence: false });
    let heard = 0;
    await bus.subscribe('dream.created', () => {
      heard += 1;
    });
    bus.publish(created('event-1'));
    await eventually(() => heard === 1);
    expect(await bus.getEventFromRedis('event-1')).toBeNull();
  });

  test('what cannot be published is counted and logged', async () => {
    const logger = keepingLogger();
    const bus = await open({ logger });
    bus.publish({ ...created('event-1'), payload: 1n });
    await eventually(() => bus.eventsUnsent === 1);
    const line = logger.lines.find(({ level }) => level === 'error');
    expect(line?.message).toBe('a published event has not reached Redis');
    expect(line?.fields).toMatchObject({ type: 'dream.created', id: 'event-1' });
  });

  test('what is wrong is said', async () => {
    const bus = await open();
    const published = (event: unknown) => () => bus.publish(event as EventEnvelope);
    const { type, ...typeless } = created('event-1');
    expect(published(undefined)).toThrow('plain object');
    expect(published(typeless)).toThrow('type');
    expect(published({ ...typeless, type, id: undefined })).toThrow('id');
    expect(published({ ...created('1'), timestamp: new Date() })).toThrow('timestamp');
    expect(published({ ...created('1'), data: 1 })).toThrow('data');
    const why = async (call: Promise<unknown>) => (await rejection(call)).path;
    expect(await why(bus.subscribe('a', 1 as never))).toBe('handler');
    expect(await why(bus.subscribe('a', () => {}, { batch: { size: 2 } } as never))).toBe('batch');
    const made = (config: object) => () => new RedisEventBus(config as never);
    expect(made({ enablePubSub: false })).toThrow('enablePubSub');
    expect(made({ enablePersistence: 'yes' })).toThrow('enablePersistence');
    expect(made({ redisUrl: 'redis://a', redis: 'redis://b' })).toThrow('redisUrl');
    expect(made({ url: 'redis://a' })).toThrow('url');
    expect(made({ redisPort: 'x' })).toThrow('redis.port');
  });
});

test('without Redis the handlers of the bus work, and what others miss is counted', async () => {
  const logger = keepingLogger();
  const bus = new RedisEventBus({
    redis: { host: '127.0.0.1', port: await freePort(), connectTimeout: 100 },
    channelPrefix: undefined,
    logger,
  });
  await expect(bus.connect()).rejects.toMatchObject({ code: 'ERR_BUS_CONNECT_TIMEOUT' });
  const failures: unknown[] = [];
  const listener = (error: unknown) => void failures.push(error);
  bus.on('error', listener).off('error', listener);
  let heard = 0;
  await bus.subscribe('dream.created', () => {
    heard += 1;
  });
  bus.publish(created('event-1'));
  await eventually(() => heard === 1 && bus.eventsUnsent === 1);
  expect(logger.lines.some(({ fields }) => fields.outcome === 'not_sent')).toBe(true);
  expect((await bus.getEventFromRedis('event-1'))?.payload).toEqual({ dreamId: 'dream-123' });
  expect((await rejection(bus.getEventFromRedis('event-2'))).category).not.toBe('validation');
  await bus.disconnect();
});
