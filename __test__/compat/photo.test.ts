/** A program with the calls of photo's document, written anew, on the adapter. */

import { ValidationError } from '../..';
import {
  type Event,
  EventBusClient,
  type EventBusConfig,
  EventValidator,
  type PhotoEvents,
} from '../../compat/photo';
import { inBothPlaces } from '../support/compat';
import { eventually } from '../support/eventually';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';

inBothPlaces((place) => {
  const open = async <Events = Record<string, any>>(config: EventBusConfig = {}) => {
    const bus = place.closing(new EventBusClient<Events>({ ...place.options, ...config }));
    await bus.connect();
    return bus;
  };

  test('an upload goes through a worker to a notification, with one trace id', async () => {
    const api = await open<PhotoEvents>({ serviceName: 'api' });
    const worker = await open<PhotoEvents>({ serviceName: 'worker' });
    const steps: string[] = [];
    const traces = new Set<string>();
    await worker.subscribe('photo.uploaded', async ({ data: { photoId } }) => {
      await worker.publish('photo.processing.started', { photoId, jobId: 'job-1' });
      await worker.publish('photo.processing.completed', { photoId, result: { width: 640 } });
    });
    await api.subscribe('photo.*', (event) => {
      steps.push(`${event.metadata.source} ${event.type}`);
      traces.add(event.metadata.traceId);
    });

    const { eventId } = await api.publish(
      'photo.uploaded',
      { photoId: '123', userId: 'user-456' },
      { traceId: 'request-9' },
    );

    await eventually(() => steps.length === 3);
    expect(eventId).toMatch(/^[0-9a-f-]{36}$/);
    expect(steps).toEqual([
      'api photo.uploaded',
      'worker photo.processing.started',
      'worker photo.processing.completed',
    ]);
    expect([...traces]).toEqual(['request-9']);
  });

  test('one event reaches every subscription once, and what one of them throws is its own', async () => {
    const bus = await open({ logger: keepingLogger() });
    const called: string[] = [];
    const call = (name: string) => () => void called.push(name);
    await bus.subscribe(
      'user.registered',
      () => {
        called.push('email');
        throw new Error('no mail today');
      },
      { retryOnError: false },
    );
    await bus.subscribe('user.registered', call('profile'));
    await bus.subscribe('user.*', call('analytics'));
    const { id } = await bus.subscribe('*', call('warehouse'));
    await bus.publish('user.registered', { name: 'n' });
    await eventually(() => called.length === 4);
    expect(called.sort()).toEqual(['analytics', 'email', 'profile', 'warehouse']);
    expect(await bus.unsubscribe(id)).toBe(true);
    expect(await bus.unsubscribe(id)).toBe(false);
    expect(await bus.getStats()).toMatchObject({ eventsPublished: 1, activeSubscriptions: 3 });
  });

  test('rooms, users and broadcasts reach those who are meant', async () => {
    const [bus, other] = [await open(), await open({ serviceName: 'other' })];
    const heard: unknown[] = [];
    await bus.subscribe('album.*', (event: Event) => void heard.push([event.type, event.data]));
    await bus.subscribe('user:7', (event: Event) => void heard.push([event.type, event.data]));
    expect(await bus.joinRoom('album-1')).toBeUndefined();
    expect(await bus.getRoomMembers('album-1')).toHaveLength(1);
    await other.publishToRoom('album-1', 'album.changed', 1);
    await other.publishToRoom('album-2', 'album.changed', 2);
    await other.publishToUser('7', 'note', 3);
    await other.broadcast('album.closed', 4);
    await eventually(() => heard.length === 3);
    expect(heard.sort()).toEqual([
      ['album.changed', 1],
      ['album.closed', 4],
      ['note', 3],
    ]);
    expect(await bus.leaveRoom('album-1')).toBeUndefined();
    expect(await bus.getRoomMembers('album-1')).toEqual([]);
  });

  test('retries have the delays of retryConfig', async () => {
    const bus = await open({
      retryConfig: { maxRetries: 2, initialDelay: 20, maxDelay: 1000, backoffMultiplier: 3 },
    });
    const failures: unknown[] = [];
    bus.on('error', (error) => failures.push(error));
    const times: number[] = [];
    await bus.subscribe('a', () => {
      times.push(performance.now());
      throw new Error('no');
    });
    await bus.publish('a', 1);
    await eventually(() => failures.length === 1);
    expect(times).toHaveLength(3);
    const [first = 0, second = 0, third = 0] = times;
    expect(second - first).toBeGreaterThan(19);
    expect(third - second).toBeGreaterThan(59);
  });

  test('its state and health are told', async () => {
    const bus = place.closing(new EventBusClient(place.options));
    expect(bus.isConnected()).toBe(false);
    const ready: unknown[] = [];
    const listener = () => void ready.push(1);
    bus.on('ready', listener);
    await bus.connect();
    expect(bus.isConnected()).toBe(true);
    expect((await bus.healthCheck()).status).toBe('healthy');
    bus.off('ready', listener);
    await eventually(() => ready.length === 1);
    await bus.disconnect();
    expect(bus.isConnected()).toBe(false);
  });

  test('what is wrong is said', async () => {
    const bus = await open();
    const why = async (call: Promise<unknown>) => {
      const error = await rejection(call);
      expect(error).toBeInstanceOf(ValidationError);
      return [error.code, error.path];
    };
    const options = 'ERR_BUS_INVALID_OPTIONS';
    expect(await why(bus.publish('a', 1, { traceId: 'a', correlationId: 'b' }))).toEqual([
      options,
      'traceId',
    ]);
    expect((await why(bus.publish('a', 1, { trace: 'a' } as never)))[0]).toBe(options);
    expect((await why(bus.publish('', 1)))[0]).toBe('ERR_BUS_INVALID_TYPE');
    expect(await why(bus.subscribe('a', undefined as never))).toEqual([options, 'handler']);
    const batch = { group: 'g', batch: { size: 2 } } as never;
    expect(await why(bus.subscribe('a', () => {}, batch))).toEqual([options, 'batch']);
    const made = (config: object) => () => new EventBusClient(config as never);
    expect(made({ retryConfig: {}, retry: {} })).toThrow('retryConfig');
    expect(made({ retryConfig: 3 })).toThrow('retryConfig');
    expect(made({ retryConfig: { backoff: 2 } })).toThrow('backoff');
    expect(made({ socket: {} })).toThrow('socket');
    expect(() => new EventValidator().validateEventType('')).toThrow(ValidationError);
  });
});

test('the keys of the old connection are taken', () => {
  const redis = { host: 'localhost', port: 6379, maxRetriesPerRequest: 3, enableReadyCheck: true };
  const performance = { batchSize: 100, batchInterval: 50, maxRetries: 3, retryDelay: 1000 };
  const logger = keepingLogger();
  new EventBusClient({ serviceName: 'my-service', redis, performance, logger });
});
