/** `oxbus/compat/platform`: `compat/platform.d.ts` describes it. */

import type {
  EventBusManager as Contract,
  PlatformEvent,
  PlatformHistoryQuery,
  ReceivedPlatformEvent,
} from '../../compat/platform';
import type {
  BusEvent,
  EventBusManagerOptions,
  HandlerContext,
  HealthReport,
  ManagerPublishOptions,
  ManagerSubscribeOptions,
  EventBusManager as OxbusContract,
  PublishResult,
  ReceivedFlatEvent,
  SystemStats,
} from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { invalidAt } from '../errors';
import { copyPlain } from '../input/json';
import { readOptions } from '../input/options';
import { toFlat } from '../manager/flat-events';
import { EventBusManager as OxbusManager } from '../manager/manager';
import { checkFunction, withDefaults } from './arguments';

const HOUR = 3_600_000;
const HISTORY = ['eventType', 'from', 'to', 'limit', 'source', 'order'];

export class EventBusManager implements Contract {
  readonly #options: EventBusManagerOptions | undefined;
  #manager: OxbusManager | undefined;

  constructor(options?: EventBusManagerOptions) {
    this.#options = options;
  }

  /** Made by the first use, which is when the environment is read. */
  get manager(): OxbusContract {
    this.#manager ??= new OxbusManager(platformOptions(this.#options));
    return this.#manager;
  }

  initialize(options?: EventBusManagerOptions): Promise<void> {
    return options === undefined
      ? this.manager.initialize()
      : this.manager.initialize(platformOptions(options));
  }

  publish(event: PlatformEvent, options?: ManagerPublishOptions): Promise<PublishResult> {
    const { payload, ...flat } = copyPlain(event, 'ERR_BUS_INVALID_EVENT', 'event');
    if (payload !== undefined) {
      if (flat.metadata !== undefined && flat.metadata !== payload) {
        throw invalidAt('ERR_BUS_INVALID_EVENT', 'payload', 'is not the same as metadata');
      }
      flat.metadata = payload;
    }
    return this.manager.publish(flat as unknown as PlatformEvent, options);
  }

  // biome-ignore lint/suspicious/noExplicitAny: without a type, any payload is accepted
  subscribe<M = Record<string, any>>(
    type: string | readonly string[],
    handler: (event: ReceivedPlatformEvent<M>, ctx: HandlerContext) => unknown,
    options?: ManagerSubscribeOptions,
  ): Promise<string[]> {
    checkFunction(handler, 'handler');
    return this.manager.subscribe<M>(
      type,
      (event, ctx) => handler(withPayload(event), ctx),
      options,
    );
  }

  unsubscribe(ids: string | readonly string[]): Promise<boolean> {
    return this.manager.unsubscribe(ids);
  }

  getHistory(query?: PlatformHistoryQuery): Promise<ReceivedPlatformEvent[]> {
    const { eventType, ...given } = readOptions(query, HISTORY);
    const { manager } = this;
    const opened = manager.client === null ? manager.initialize() : Promise.resolve();
    return opened.then(async () => {
      const all = await manager.client?.getHistory({
        order: 'desc',
        ...given,
        type: eventType as string,
      });
      return (all ?? []).map((event: BusEvent) => withPayload(toFlat(event)));
    });
  }

  getSystemStats(): Promise<SystemStats> {
    return this.manager.getSystemStats();
  }

  healthCheck(): Promise<HealthReport> {
    return this.manager.healthCheck();
  }

  shutdown(options?: { timeout?: number | undefined }): Promise<void> {
    return this.manager.shutdown(options);
  }
}

startAsyncStacksAtCaller(EventBusManager, [
  'initialize',
  'publish',
  'subscribe',
  'unsubscribe',
  'getHistory',
  'shutdown',
]);

export const eventBusManager: Contract = new EventBusManager();
export const hybridEventBus: Contract = eventBusManager;

function platformOptions(options: EventBusManagerOptions | undefined): EventBusManagerOptions {
  const given = copyPlain(options ?? {}, 'ERR_BUS_INVALID_CONFIG', 'configuration');
  // Redis has to be asked for; what any other value says, or that it says nothing, is for the manager.
  const unasked =
    given.mode === undefined && given.redis === undefined && !process.env.ENABLE_REDIS_EVENTS;
  const defaults: EventBusManagerOptions = {
    ...(unasked && { mode: 'memory' }),
    persistence: { ttl: HOUR },
  };
  return withDefaults(defaults, given);
}

function withPayload<M>(event: ReceivedFlatEvent<M>): ReceivedPlatformEvent<M> {
  return { ...event, payload: event.metadata };
}
