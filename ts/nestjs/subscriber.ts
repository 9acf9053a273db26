/** Subscribes the handlers of an application once all of them are known, and ends them before what they use is gone. */

import type { EventBusClient, WaitOptions } from '../../index';
import { internalsOf } from '../client/internals';
import { describe, invalidAt } from '../errors';
import { processTimers } from '../runtime/timers';
import { type FoundHandler, findHandlers, type NestParts } from './handlers';
import { common } from './packages';

/** What the module was told of the life of a client. */
export interface LifeOptions {
  readonly name: string;
  /** False: the application starts without a connection. */
  readonly connect: WaitOptions | false;
  /** For how long handlers may go on when the application ends, in ms. */
  readonly drainTimeout: number;
  readonly disconnect: boolean;
}

/** The holds of clients whose application has not begun. */
const holds = new WeakMap<object, () => void>();

/** From now on no group of the client reads, until the application has begun. */
export function holdGroups(bus: EventBusClient): void {
  const internals = internalsOf(bus);
  if (internals === undefined) {
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'bus', 'must be an EventBusClient');
  }
  if (!holds.has(bus)) holds.set(bus, internals.subscriptions.hold());
}

export class HandlerSubscriber {
  readonly #bus: EventBusClient;
  readonly #nest: NestParts;
  readonly #options: LifeOptions;
  readonly #log = new common.Logger('Oxbus');

  constructor(bus: EventBusClient, nest: NestParts, options: LifeOptions) {
    this.#bus = bus;
    this.#nest = nest;
    this.#options = options;
    // Before any hook of the application: a client may have come here by `overrideProvider`, and not through `forRoot`.
    holdGroups(bus);
  }

  /** All modules have been initialised, so what they subscribe to is known. */
  async onApplicationBootstrap(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      // Nest 11 ends nothing of an application whose start has failed.
      if (this.#options.disconnect) await this.#bus.disconnect({ timeout: 0 });
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { connect, name } = this.#options;
    const found = findHandlers(this.#nest, name);
    if (connect !== false) await this.#bus.connect(connect);
    const begun = found.map((one) => this.#subscribe(one));
    if (connect !== false) await Promise.all(begun);
    holds.get(this.#bus)?.();
    holds.delete(this.#bus);
  }

  /** The bus reads no more, and what runs may end, while what the handlers use is still there. */
  async onModuleDestroy(): Promise<void> {
    const internals = internalsOf(this.#bus);
    if (internals === undefined || this.#bus.state === 'closed') return;
    const ended = internals.subscriptions.quiesce();
    const { drainTimeout } = this.#options;
    let timer: ReturnType<typeof processTimers.set> | undefined;
    const tooLong = new Promise<'late'>((resolve) => {
      timer = processTimers.set(() => resolve('late'), drainTimeout);
    });
    const first = await Promise.race([ended, tooLong]);
    if (timer !== undefined) processTimers.clear(timer);
    if (first === 'late') this.#log.warn(`handlers still run after ${drainTimeout} ms`);
  }

  /** Resolves when it is confirmed; one that waits until the server is there holds nothing up. */
  async #subscribe({ name, note, handler }: FoundHandler): Promise<void> {
    const waits = this.#options.connect === false;
    const options = waits ? { whenReady: true, ...note.options } : note.options;
    const subscribed = this.#bus.subscribe(note.pattern as string, handler, options);
    if (waits || options.whenReady === true) {
      subscribed.catch((error) => this.#log.error(`${name}: ${describe(error)}`));
      return;
    }
    await subscribed.catch((error) => {
      throw Object.assign(error as Error, { message: `${name}: ${describe(error)}` });
    });
  }
}

/** Ends a client behind everything that may publish: servers have closed, and other providers have had their hooks. */
export class BusEnd {
  readonly #bus: EventBusClient;
  readonly #options: LifeOptions;

  constructor(bus: EventBusClient, options: LifeOptions) {
    this.#bus = bus;
    this.#options = options;
  }

  async onApplicationShutdown(): Promise<void> {
    const { disconnect, drainTimeout } = this.#options;
    if (disconnect) await this.#bus.disconnect({ timeout: drainTimeout });
  }
}
