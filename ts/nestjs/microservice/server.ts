/** `OxbusServer`: the handlers of microservices on the bus. */

import type { EventBusClient, Responder, RespondOptions, Subscription } from '../../../index';
import type { OxbusServerOptions } from '../../../nestjs';
import { stackFromCaller } from '../../caller-stacks';
import { internalsOf } from '../../client/internals';
import { readOptions } from '../../input/options';
import { answer } from './answering';
import { busOf, type UsedBus } from './bus-of';
import { OxbusContext } from './context';
import { type Microservices, microservices, rxjs } from './packages';
import { typeOfPattern } from './patterns';
import { asError } from './rpc-exception';

const TRANSPORT = Symbol.for('oxbus');

export class OxbusServer extends microservices.Server {
  static readonly transport: symbol = TRANSPORT;
  override readonly transportId: symbol = TRANSPORT;
  /** The bus tries failed handlers again, and tells of them. */
  override readonly propagatesEventHandlerErrors: boolean = true;
  readonly #used: UsedBus;
  readonly #events: Record<string, unknown>;
  readonly #messages: RespondOptions | undefined;
  #ends: (Subscription | Responder)[] = [];

  constructor(options?: OxbusServerOptions) {
    super();
    try {
      const given = readOptions(options, ['bus', 'events', 'messages']);
      this.#used = busOf(given.bus);
      this.#events = (given.events ?? {}) as Record<string, unknown>;
      this.#messages = given.messages as RespondOptions | undefined;
    } catch (error) {
      throw stackFromCaller(error, OxbusServer);
    }
  }

  listen(callback: (error?: unknown) => void): void {
    this.#listen().then(
      () => callback(),
      (error) => callback(error),
    );
  }

  async close(): Promise<void> {
    const ends = this.#ends;
    this.#ends = [];
    if (this.#used.isOwn) return this.#used.bus.disconnect();
    const ids = new Set(ends.map(({ id }) => id));
    const quiet = internalsOf(this.#used.bus)?.subscriptions.quiesce(ids);
    const responders = ends.filter((end) => 'type' in end);
    await Promise.all([quiet, ...responders.map((end) => end.unsubscribe({ wait: true }))]);
  }

  // biome-ignore lint/complexity/noBannedTypes: as Nest has it
  override on(event: string, callback: Function): void {
    this.#used.bus.on(event as 'ready', callback as () => unknown);
  }

  unwrap<T = EventBusClient>(): T {
    return this.#used.bus as T;
  }

  protected override normalizePattern(pattern: unknown): string {
    return typeOfPattern(pattern);
  }

  /** All groups begin together, when the server has confirmed all of it. */
  async #listen(): Promise<void> {
    const { bus } = this.#used;
    const release = internalsOf(bus)?.subscriptions.hold();
    try {
      await bus.connect();
      const begun = Array.from(this.messageHandlers, ([type, handler]) =>
        handler.isEventHandler === true
          ? this.#subscribe(bus, type, handler)
          : this.#respond(bus, type, handler),
      );
      this.#ends = await Promise.all(begun);
    } finally {
      release?.();
    }
  }

  #subscribe(
    bus: EventBusClient,
    pattern: string,
    handler: Microservices.MessageHandler,
  ): Promise<Subscription> {
    const own = (handler.extras as { oxbus?: object } | undefined)?.oxbus;
    const options = { ...this.#events, ...own };
    return bus.subscribe(
      pattern,
      async (event, context) => {
        const result = await handler(event.data, new OxbusContext([event, context]));
        // Filters and interceptors of Nest return streams. An error in one is a failure of the handler.
        if (!rxjs.isObservable(result)) return;
        await rxjs.lastValueFrom(result, { defaultValue: undefined }).catch((error) => {
          throw asError(error);
        });
      },
      options,
    );
  }

  #respond(
    bus: EventBusClient,
    type: string,
    handler: Microservices.MessageHandler,
  ): Promise<Responder> {
    return bus.respond(
      type,
      async (event, context) => {
        const result = await handler(event.data, new OxbusContext([event, context]));
        // A stream is the exception: most handlers of most services have one answer.
        return rxjs.isObservable(result) ? answer(bus, result, event, context) : result;
      },
      this.#messages,
    );
  }
}
