/** `oxbus/compat/spine`: `compat/spine.d.ts` describes it. */

import type {
  RedisEventBus as Contract,
  EventEnvelope,
  RedisEventBusConfig,
} from '../../compat/spine';
import type {
  BusEvent,
  EventBusClient as Client,
  EventBusConfig,
  HandlerContext,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from '../../index';
import { startAsyncStacksAtCaller, startStacksAtCaller } from '../caller-stacks';
import { EventBusClient } from '../client/client';
import { Log } from '../client/logger';
import { invalidAt } from '../errors';
import { copyPlain } from '../input/json';
import { copyOptions, refuseUnknown } from '../input/options';
import { checkFunction, withDefaults } from './arguments';
import { EventsOfClient } from './client-events';

const CONFIG = 'ERR_BUS_INVALID_CONFIG';
const EVENT = 'ERR_BUS_INVALID_EVENT';

type Received<T> = EventEnvelope<T> & { source: string };

export class RedisEventBus extends EventsOfClient implements Contract {
  readonly client: Client;
  readonly #log: Log;
  #eventsUnsent = 0;

  constructor(config?: RedisEventBusConfig) {
    super();
    const read = clientConfig(copyPlain(config ?? {}, CONFIG, 'configuration'));
    this.client = new EventBusClient(read);
    const { logger, logLevel = 'info' } = read;
    this.#log = new Log(
      logger === false ? undefined : logger,
      logger === false ? 'silent' : logLevel,
      this.client.serviceName,
    );
  }

  get eventsUnsent(): number {
    return this.#eventsUnsent;
  }

  connect(): Promise<void> {
    const connected = this.client.connect();
    // In hybrid mode a client counts as connected at once.
    return connected.then(() => this.client.waitUntilReady());
  }

  disconnect(options?: { timeout?: number | undefined }): Promise<void> {
    return this.client.disconnect(options);
  }

  publish(event: EventEnvelope): void {
    const { type, payload, options } = fromEnvelope(event);
    const sent = this.client.publish(type, payload, options);
    sent.then(
      ({ remote = 'resolved' }) => {
        if (remote !== 'resolved') this.#unsent(type, options.id, remote);
      },
      (error) => this.#unsent(type, options.id, error),
    );
  }

  subscribe<T = unknown>(
    pattern: string | readonly string[],
    handler: (event: Received<T>, ctx: HandlerContext) => unknown,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    checkFunction(handler, 'handler');
    const given: SubscribeOptions = copyOptions(options);
    if (given.batch !== undefined) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'batch', 'not here: use `client`');
    }
    const called = (event: BusEvent, ctx: HandlerContext) => handler(toEnvelope<T>(event), ctx);
    return this.client.subscribe<string | readonly string[]>(pattern, called, given);
  }

  getEventFromRedis<T = unknown>(eventId: string): Promise<Received<T> | null> {
    return this.client.getEvent(eventId).then((event) => event && toEnvelope<T>(event));
  }

  #unsent(type: string, id: unknown, reason: unknown): void {
    this.#eventsUnsent += 1;
    const fields = typeof reason === 'string' ? { outcome: reason } : { err: reason };
    this.#log.write('error', 'a published event has not reached Redis', { type, id, ...fields });
  }
}

startAsyncStacksAtCaller(RedisEventBus, [
  'connect',
  'disconnect',
  'subscribe',
  'getEventFromRedis',
]);
startStacksAtCaller(RedisEventBus, ['publish']);

function clientConfig(config: Record<string, unknown>): EventBusConfig {
  const {
    redisUrl,
    redisHost,
    redisPort,
    redisPassword,
    enablePersistence,
    enablePubSub,
    ...given
  } = config;
  const address = { url: redisUrl, host: redisHost, port: redisPort, password: redisPassword };
  const named = Object.values(address).some((value) => value !== undefined);
  if (named && given.redis !== undefined) {
    throw invalidAt(
      CONFIG,
      'redis',
      'not together with redisUrl, redisHost, redisPort or redisPassword',
    );
  }
  if (enablePubSub !== undefined && enablePubSub !== true) {
    const message = 'must be true: events are not kept without being published live';
    throw invalidAt(CONFIG, 'enablePubSub', message);
  }
  if (enablePersistence !== undefined && typeof enablePersistence !== 'boolean') {
    throw invalidAt(CONFIG, 'enablePersistence', 'must be a boolean');
  }
  const defaults: EventBusConfig = {
    mode: 'hybrid',
    redis: address as EventBusConfig['redis'],
    channelPrefix: 'dreamnet:events:',
    persistence: { enabled: enablePersistence ?? true },
  };
  return withDefaults(defaults, given);
}

function fromEnvelope(event: unknown): { type: string; payload: unknown; options: PublishOptions } {
  const { type, payload, ...options } = copyPlain(event, EVENT, 'event');
  refuseUnknown(options, 'event', ['id', 'timestamp', 'source']);
  if (typeof type !== 'string') throw invalidAt(EVENT, 'type', 'must be a string');
  if (typeof options.id !== 'string') throw invalidAt(EVENT, 'id', 'must be a string');
  if (typeof options.timestamp !== 'number') {
    throw invalidAt(EVENT, 'timestamp', 'must be a number of ms since 1970');
  }
  return { type, payload, options };
}

function toEnvelope<T>({ id, type, data, metadata }: BusEvent): Received<T> {
  const timestamp = Date.parse(metadata.timestamp);
  return { id, type, payload: data as T, timestamp, source: metadata.source };
}
