/** `OxbusServer`: the handlers of microservices on the bus. */

import type {
  BusEvent,
  EventBusClient,
  HandlerContext,
  Responder,
  RespondOptions,
  Subscription,
} from '../../../index';
import type { OxbusServerOptions, OxbusStatus } from '../../../nestjs';
import { stackFromCaller } from '../../caller-stacks';
import { internalsOf } from '../../client/internals';
import { readOptions } from '../../input/options';
import { isThenable } from '../../runtime/promises';
import { answer } from './answering';
import { busOf, type UsedBus } from './bus-of';
import { OxbusContext } from './context';
import { type Microservices, microservices, type Rxjs, rxjs } from './packages';
import { typeOfPattern } from './patterns';
import { withHooks } from './processing';
import { asError } from './rpc-exception';
import { followStatus } from './status';

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
  #unfollow: (() => void) | undefined;
  /** What Nest has where nobody has set a hook. */
  readonly #noHook = this.onProcessingStartHook;

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
    this.#unfollow?.();
    this.#unfollow = undefined;
    const ids = new Set(ends.map(({ id }) => id));
    const quiet = internalsOf(this.#used.bus)?.subscriptions.quiesce(ids);
    const responders = ends.filter((end) => 'type' in end);
    await Promise.all([quiet, ...responders.map((end) => end.unsubscribe({ wait: true }))]);
  }

  override get status(): Rxjs.Observable<OxbusStatus> {
    return super.status as Rxjs.Observable<OxbusStatus>;
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

  /** What `call` returns, or throws, with the hooks around it that were set. */
  #process(context: OxbusContext, call: () => unknown): unknown {
    const { onProcessingStartHook: start, onProcessingEndHook: end } = this;
    if (start === this.#noHook && end === undefined) return call();
    return withHooks({ transportId: this.transportId, start, end }, this.logger, context, call);
  }

  /** All groups begin together, when the server has confirmed all of it. */
  async #listen(): Promise<void> {
    const { bus } = this.#used;
    this.#unfollow ??= followStatus(bus, (status) => this._status$.next(status));
    const release = internalsOf(bus)?.subscriptions.hold();
    try {
      await bus.connect();
      const begun = Array.from(this.messageHandlers, ([type, handler]) =>
        handler.isEventHandler === true
          ? this.#subscribe(bus, type, handler)
          : this.#respond(bus, type, handler),
      );
      const settled = await Promise.allSettled(begun);
      // Where one is refused, `close` ends the others all the same.
      this.#ends = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      const refused = settled.find((one) => one.status === 'rejected');
      if (refused !== undefined) throw refused.reason;
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
      (event, context) => {
        const nest = new OxbusContext([event, context]);
        // Filters and interceptors of Nest return streams. An error in one is a failure of the handler.
        return this.#process(nest, () =>
          settled(handler(event.data, nest), (stream) => done(stream)),
        );
      },
      options,
    );
  }

  #respond(
    bus: EventBusClient,
    type: string,
    handler: Microservices.MessageHandler,
  ): Promise<Responder> {
    const call = (event: BusEvent, context: HandlerContext) => {
      const nest = new OxbusContext([event, context]);
      // A stream is the exception: most handlers of most services have one answer.
      return this.#process(nest, () =>
        settled(handler(event.data, nest), (stream) => answer(bus, stream, event, context)),
      );
    };
    return bus.respond(type, call, this.#messages);
  }
}

/** What a handler has returned, or a promise of it, with `read` for a stream. There is no promise where it has returned none. */
function settled(
  result: unknown,
  read: (stream: Rxjs.Observable<unknown>) => Promise<unknown>,
): unknown {
  const value = (one: unknown) => (rxjs.isObservable(one) ? read(one) : one);
  return isThenable(result) ? Promise.resolve(result).then(value) : value(result);
}

async function done(stream: Rxjs.Observable<unknown>): Promise<void> {
  await rxjs.lastValueFrom(stream, { defaultValue: undefined }).catch((error) => {
    throw asError(error);
  });
}
