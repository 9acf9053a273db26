/**
 * Calls handlers and settles their calls. A synchronous handler costs its context and four numbers;
 * only a call that returns a promise gets a record of its own. Nothing a handler does gets out.
 */

import { Call, CallContext, contextOf } from './call';
import {
  beginHandlers,
  endHandlers,
  enterHandler,
  handlerEnded,
  handlerStarted,
  withinHandler,
} from './context';
import type { EventBusError } from './errors';
import { busError, describe, RetryLater } from './errors';
import {
  type DeliveryRun,
  type NativeClient,
  type RawEvent,
  type RunInfo,
  Settlement,
  type Shape,
} from './native';
import { conform, type Schemas } from './schemas';
import type { LiveSubscription } from './subscription';
import { HandlerTimer } from './timeouts';

/** Rejected by an internal handler: the event was not handled, which is counted as dropped. */
export const DROPPED = Symbol('dropped');

/** Settlements that cross together; more than fit are sent in between. */
const CAPACITY = 1024;
const FIELDS = 4;
const MAX_U32 = 0xffff_ffff;

/** Flags of a shape. */
const HAS_CORRELATION = 1;
const HAS_CAUSATION = 2;

/** Told of every failed call. `final`: it is not tried again. */
type Report = (error: EventBusError, final: boolean, event: RawEvent, attempt: number) => void;

/** What the dispatcher needs of the configuration. */
export interface DispatcherOptions {
  channelPrefix: string;
  inherit: boolean;
  /** Given when received events are checked. */
  schemas: Schemas | undefined;
}

export class Dispatcher {
  readonly #native: NativeClient;
  readonly #prefix: string;
  readonly #inherit: boolean;
  readonly #schemas: Schemas | undefined;
  readonly #report: Report;
  readonly #subscriptions = new Map<number, LiveSubscription>();
  readonly #timer = new HandlerTimer((call) => this.#timedOut(call));
  readonly #records = new Uint32Array(CAPACITY * FIELDS);
  #count = 0;
  #flushing = false;
  #closed = false;
  #draining = false;

  constructor(native: NativeClient, options: DispatcherOptions, report: Report) {
    this.#native = native;
    this.#prefix = options.channelPrefix;
    this.#inherit = options.inherit;
    this.#schemas = options.schemas;
    this.#report = report;
  }

  add(subscription: LiveSubscription): void {
    this.#subscriptions.set(subscription.sub, subscription);
    this.#timer.watch(subscription);
  }

  /** Its events are no longer handled; calls that run go on. */
  remove(subscription: LiveSubscription): void {
    subscription.close();
    this.#subscriptions.delete(subscription.sub);
    if (subscription.head === undefined) this.#timer.unwatch(subscription);
    this.#dropHeld(subscription);
  }

  find(sub: number): LiveSubscription | undefined {
    return this.#subscriptions.get(sub);
  }

  all(): IterableIterator<LiveSubscription> {
    return this.#subscriptions.values();
  }

  /** Calls the handlers of a drain, in order. */
  deliver(runs: readonly DeliveryRun[], shapes: readonly Shape[]): void {
    this.#enter(() => {
      for (const run of runs) this.#run(run, shapes);
    });
  }

  /** Handles what came while a subscription was paused. */
  resume(subscription: LiveSubscription): void {
    if (subscription.held.length === 0) return;
    // Not within the caller's `resume()`: handlers never run inside a call of their user.
    setImmediate(() => {
      const held = subscription.release();
      this.#enter(() => {
        for (const { event, info, token } of held) {
          this.#dispatch(subscription, event, info, token, performance.now());
        }
      });
    });
  }

  /** Unstarted events are given up, as the client is about to close. */
  drain(): void {
    this.#draining = true;
    for (const subscription of this.#subscriptions.values()) this.#dropHeld(subscription);
  }

  /** Aborts what still runs. */
  close(reason: EventBusError): void {
    this.#closed = true;
    for (const call of this.#timer.stop()) {
      call.subscription.remove(call);
      call.leave('zombie');
      if (this.#inherit) handlerEnded();
      CallContext.abort(call.context, reason);
    }
    for (const subscription of this.#subscriptions.values()) subscription.close();
    this.#subscriptions.clear();
  }

  #enter(handle: () => void): void {
    const before = this.#inherit ? beginHandlers() : undefined;
    try {
      handle();
    } finally {
      if (this.#inherit) endHandlers(before);
      this.#flush();
    }
  }

  #run(run: DeliveryRun, shapes: readonly Shape[]): void {
    const subscription = this.#subscriptions.get(run[0]);
    const info = run[2];
    let token = run[1];
    let now = performance.now();
    for (let at = 3; at < run.length; at += 1) {
      let event = run[at];
      if (typeof event === 'number') {
        const shape = shapes[event] as Shape;
        const flags = shape[4];
        const id = run[++at] as string;
        const metadata: RawEvent['metadata'] = {
          timestamp: shape[1],
          source: shape[2],
          instanceId: shape[3],
          correlationId: (flags & HAS_CORRELATION) === 0 ? id : (run[++at] as string),
        };
        if ((flags & HAS_CAUSATION) !== 0) metadata.causationId = run[++at];
        event = { id, type: shape[0], data: run[++at], metadata };
      }
      if (subscription === undefined) this.#settle(token, Settlement.notHandled, 0, 0);
      else now = this.#dispatch(subscription, event as RawEvent, info, token, now);
      token = (token + 1) >>> 0;
    }
  }

  /** Handles one event; answers when that was done, which is when the next one starts. */
  #dispatch(
    subscription: LiveSubscription,
    event: RawEvent,
    info: RunInfo | 0,
    token: number,
    startedAt: number,
  ): number {
    if (subscription.state === 'closed') {
      this.#settle(token, Settlement.notHandled, 0, 0);
      return startedAt;
    }
    // Behind what is held already, or the order would change.
    if (subscription.state === 'paused' || subscription.held.length > 0) {
      subscription.hold({ event, info, token });
      return startedAt;
    }
    const context = contextOf(subscription, event, info, this.#prefix);
    if (this.#inherit) enterHandler(event);
    try {
      const handler = subscription.handler;
      const result =
        this.#schemas === undefined
          ? handler(event as never, context)
          : this.#checked(this.#schemas, subscription, event, context);
      if (isThenable(result)) {
        this.#start(new Call(subscription, event, context, token, startedAt), result);
        return performance.now();
      }
    } catch (error) {
      const now = performance.now();
      this.#failed(subscription, event, context, token, error, now - startedAt);
      return now;
    }
    const now = performance.now();
    this.#settle(token, Settlement.succeeded, now - startedAt, 0);
    return now;
  }

  #checked(
    schemas: Schemas,
    subscription: LiveSubscription,
    event: RawEvent,
    context: CallContext,
  ): unknown {
    const handler = subscription.handler;
    const schema = schemas.get(event.type);
    if (schema === undefined) return handler(event as never, context);
    let data: unknown;
    try {
      data = conform(schema, event.data);
    } catch (error) {
      throw new Misfit(error);
    }
    if (data instanceof Promise) return this.#checkedLater(subscription, event, context, data);
    event.data = data;
    return handler(event as never, context);
  }

  async #checkedLater(
    subscription: LiveSubscription,
    event: RawEvent,
    context: CallContext,
    data: Promise<unknown>,
  ): Promise<unknown> {
    try {
      event.data = await data;
    } catch (error) {
      throw new Misfit(error);
    }
    // The wait was long enough for the subscription, or the time of the call, to end.
    if (subscription.state === 'closed' || CallContext.isAborted(context)) throw DROPPED;
    const handler = subscription.handler;
    return handler(event as never, context);
  }

  #start(call: Call, result: PromiseLike<unknown>): void {
    call.subscription.append(call);
    this.#timer.started(call);
    if (this.#inherit) handlerStarted();
    void this.#follow(call, result);
  }

  /** Never rejects. `await` takes a thenable's faults (a throwing `then`) as rejections. */
  async #follow(call: Call, result: PromiseLike<unknown>): Promise<void> {
    try {
      await result;
    } catch (error) {
      if (this.#ended(call)) {
        const { subscription, event, context, token } = call;
        this.#failed(
          subscription,
          event,
          context,
          token,
          error,
          performance.now() - call.startedAt,
        );
      }
      return;
    }
    if (this.#ended(call)) {
      this.#settle(call.token, Settlement.succeeded, performance.now() - call.startedAt, 0);
    }
  }

  /** Whether the end of a call still counts. */
  #ended(call: Call): boolean {
    const counts = call.state === 'running';
    if (counts) {
      call.subscription.remove(call);
      if (this.#inherit) handlerEnded();
      this.#unwatchIfOver(call.subscription);
    } else {
      this.#settle(call.token, Settlement.zombieEnded, 0, 0);
    }
    call.leave('ended');
    return counts;
  }

  #timedOut(call: Call): void {
    call.subscription.remove(call);
    call.leave('zombie');
    if (this.#inherit) {
      withinHandler(call.event, () => this.#giveUp(call));
      handlerEnded();
    } else {
      this.#giveUp(call);
    }
    this.#unwatchIfOver(call.subscription);
  }

  /** Settles a call whose time is over, and tells everyone: this runs code of the user. */
  #giveUp(call: Call): void {
    const { subscription, context } = call;
    const message = `a handler of ${JSON.stringify(subscription.pattern)} did not finish in ${subscription.timeout} ms`;
    const error = busError('ERR_BUS_HANDLER_TIMEOUT', message);
    const again = subscription.retryable(error);
    const kind = again ? Settlement.timedOut : Settlement.timedOutFinal;
    this.#settle(call.token, kind, performance.now() - call.startedAt, 0);
    this.#report(error, !again || this.#isLast(subscription, context), call.event, context.attempt);
    CallContext.abort(context, error);
  }

  /** Whether no attempt follows this one. */
  #isLast(subscription: LiveSubscription, context: CallContext): boolean {
    const ending = this.#draining || subscription.state === 'closed';
    return ending || !subscription.hasAttemptAfter(context.attempt);
  }

  #failed(
    subscription: LiveSubscription,
    event: RawEvent,
    context: CallContext,
    token: number,
    thrown: unknown,
    duration: number,
  ): void {
    if (thrown === DROPPED) {
      this.#settle(token, Settlement.notHandled, 0, 0);
      return;
    }
    const misfit = Misfit.is(thrown);
    const cause = misfit ? thrown.error : thrown;
    const again = !misfit && subscription.retryable(cause);
    const pattern = JSON.stringify(subscription.pattern);
    const message = `a handler of ${pattern} failed: ${describe(cause)}`;
    const error = busError('ERR_BUS_HANDLER_FAILED', message, { cause });
    if (again && thrown instanceof RetryLater) {
      this.#settle(token, Settlement.retryLater, duration, clamp(thrown.delay));
    } else {
      this.#settle(token, again ? Settlement.failed : Settlement.failedFinal, duration, 0);
    }
    const final = !again || this.#isLast(subscription, context);
    this.#report(error, final, event, context.attempt);
  }

  #unwatchIfOver(subscription: LiveSubscription): void {
    if (subscription.state === 'closed' && subscription.head === undefined) {
      this.#timer.unwatch(subscription);
    }
  }

  #dropHeld(subscription: LiveSubscription): void {
    for (const { token } of subscription.release()) {
      this.#settle(token, Settlement.notHandled, 0, 0);
    }
  }

  #settle(token: number, kind: number, duration: number, argument: number): void {
    if (this.#closed) return;
    const at = this.#count * FIELDS;
    this.#records[at] = token;
    this.#records[at + 1] = kind;
    this.#records[at + 2] = clamp(duration * 1000);
    this.#records[at + 3] = argument;
    this.#count += 1;
    if (this.#count === CAPACITY) {
      this.#flush();
    } else if (!this.#flushing) {
      this.#flushing = true;
      process.nextTick(this.#flushLater);
    }
  }

  readonly #flushLater = (): void => {
    this.#flushing = false;
    this.#flush();
  };

  #flush(): void {
    if (this.#count === 0 || this.#closed) return;
    this.#native.settle(this.#records, this.#count);
    this.#count = 0;
  }
}

/** A received event that does not fit its schema: final, whatever `retryIf` says. */
class Misfit {
  readonly error: unknown;
  readonly #brand = true;

  /** Unlike `instanceof`, never runs code of the value: a revoked proxy can be thrown too. */
  static is(value: unknown): value is Misfit {
    return typeof value === 'object' && value !== null && #brand in value;
  }

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Reading `then` may throw: that is a failure of the call. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}

function clamp(value: number): number {
  return value > 0 ? Math.min(Math.round(value), MAX_U32) : 0;
}
