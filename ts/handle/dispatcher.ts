/**
 * Calls handlers and settles their calls. A synchronous handler costs its context and four numbers;
 * only a call that returns a promise gets a record of its own. Nothing a handler does gets out.
 */

import type { Timers } from '../client/environment';
import type { EventBusError } from '../errors';
import { busError, describe, RetryLater } from '../errors';
import {
  type DeliveryRun,
  type Handled,
  type NativeClient,
  type RawEvent,
  type RunInfo,
  Settlement,
  type Shape,
} from '../native/native';
import { setImmediate } from '../runtime/clock';
import { Misfit, receive, type Schemas } from '../validation/schemas';
import { BatchCallContext, Call, CallContext, contextOf } from './call';
import {
  beginHandlers,
  endHandlers,
  enterHandler,
  handlerEnded,
  handlerStarted,
  withinHandler,
} from './current-event';
import { Settlements, unsigned } from './settlements';
import type { LiveSubscription } from './subscription';
import { HandlerTimer } from './timeouts';

/**
 * Rejected by an internal handler: the event was not handled. A live one is counted as dropped, a durable
 * one handed back.
 */
export const DROPPED = Symbol('dropped');

/** Flags of a shape. */
const HAS_CORRELATION = 1;
const HAS_CAUSATION = 2;

/** Told of every failed call. `final`: it is not tried again. */
type Report = (error: EventBusError, final: boolean, event: Handled, attempt: number) => void;

/** What the dispatcher needs of the configuration. */
export interface DispatcherOptions {
  channelPrefix: string;
  inherit: boolean;
  /** Given when received events are checked. */
  schemas: Schemas | undefined;
  timers: Timers;
}

export class Dispatcher {
  readonly #settlements: Settlements;
  readonly #timers: Timers;
  readonly #prefix: string;
  readonly #inherit: boolean;
  readonly #schemas: Schemas | undefined;
  readonly #report: Report;
  readonly #subscriptions = new Map<number, LiveSubscription>();
  readonly #timer: HandlerTimer;
  #draining = false;

  constructor(native: NativeClient, options: DispatcherOptions, report: Report) {
    this.#settlements = new Settlements(native);
    this.#timers = options.timers;
    this.#timer = new HandlerTimer(options.timers, (call) => this.#timedOut(call));
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
        for (const { event, info, messageId, token } of held) {
          this.#dispatch(subscription, event, info, messageId, token, this.#timers.now());
        }
      });
    });
  }

  /**
   * Other consumers have what these calls handle: those that run are told, those that wait are never made.
   * Answers with the id of the event of that entry, if one of them is still there.
   */
  loseClaim(tokens: readonly number[], messageId: string): string | undefined {
    const lost = new Set(tokens);
    const reason = busError('ERR_BUS_ABORTED', 'the claim was lost to another consumer');
    let event: RawEvent | undefined;
    for (const subscription of this.#subscriptions.values()) {
      for (const held of subscription.held) {
        if (!lost.has(held.token)) continue;
        event = entryOf(held.event, held.messageId, messageId);
        this.#settle(held.token, Settlement.notHandled, 0, 0);
        subscription.held = subscription.held.filter((other) => other !== held);
      }
    }
    for (const call of [...this.#timer.running()]) {
      if (!lost.has(call.token)) continue;
      const { context } = call;
      const ids = context instanceof BatchCallContext ? context.messageIds : messageId;
      event = entryOf(call.event, ids, messageId);
      const abort = () => CallContext.abort(context, reason);
      if (this.#inherit) withinHandler(call.event, abort);
      else abort();
    }
    return event?.id;
  }

  /** Whether no handler runs; what waits in iterators is not counted. */
  get idle(): boolean {
    for (const call of this.#timer.running()) if (!call.subscription.pulled) return false;
    return true;
  }

  /** Unstarted events are given up, as the client is about to close. */
  drain(): void {
    this.#draining = true;
    for (const subscription of this.#subscriptions.values()) this.#dropHeld(subscription);
  }

  /** Aborts what still runs. */
  close(reason: EventBusError): void {
    this.#settlements.close();
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
      this.#settlements.flush();
    }
  }

  #run(run: DeliveryRun, shapes: readonly Shape[]): void {
    const subscription = this.#subscriptions.get(run[0]);
    const info = run[2];
    const stored = info !== 0 && info.stream !== undefined;
    const batch: RawEvent[] | undefined = info !== 0 && info.batch !== undefined ? [] : undefined;
    const ids: string[] | undefined = batch === undefined ? undefined : [];
    let messageId = '';
    let token = run[1];
    let now = this.#timers.now();
    for (let at = 3; at < run.length; at += 1) {
      if (stored) messageId = run[at++] as string;
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
        if (shape[5] !== undefined) metadata.room = shape[5];
        event = { id, type: shape[0], data: run[++at], metadata };
      }
      if (batch !== undefined) {
        batch.push(event as RawEvent);
        ids?.push(messageId);
        continue;
      }
      if (subscription === undefined) this.#settle(token, Settlement.notHandled, 0, 0);
      else now = this.#dispatch(subscription, event as RawEvent, info, messageId, token, now);
      token = (token + 1) >>> 0;
    }
    if (batch === undefined || ids === undefined) return;
    if (subscription === undefined) this.#settle(token, Settlement.notHandled, 0, 0);
    else this.#dispatch(subscription, batch, info, ids, token, now);
  }

  /** Handles one event or batch; answers when that was done, which is when the next one starts. */
  #dispatch(
    subscription: LiveSubscription,
    event: Handled,
    info: RunInfo | 0,
    messageId: string | readonly string[],
    token: number,
    startedAt: number,
  ): number {
    if (subscription.state === 'closed') {
      this.#settle(token, Settlement.notHandled, 0, 0);
      return startedAt;
    }
    // Behind what is held already, or the order would change.
    if (subscription.state === 'paused' || subscription.held.length > 0) {
      subscription.hold({ event, info, messageId, token });
      return startedAt;
    }
    const context = contextOf(subscription, event, info, messageId, this.#prefix);
    if (this.#inherit) enterHandler(event);
    try {
      const handler = subscription.handler;
      const result =
        this.#schemas === undefined
          ? handler(event as never, context)
          : this.#checked(this.#schemas, subscription, event, context);
      if (isThenable(result)) {
        this.#start(new Call(subscription, event, context, token, startedAt), result);
        return this.#timers.now();
      }
    } catch (error) {
      const now = this.#timers.now();
      this.#failed(subscription, event, context, token, error, now - startedAt);
      return now;
    }
    const now = this.#timers.now();
    this.#settle(token, Settlement.succeeded, now - startedAt, 0);
    return now;
  }

  #checked(
    schemas: Schemas,
    subscription: LiveSubscription,
    event: Handled,
    context: CallContext,
  ): unknown {
    const fitting = receive(schemas, event);
    if (fitting !== undefined) return this.#checkedLater(subscription, event, context, fitting);
    const handler = subscription.handler;
    return handler(event as never, context);
  }

  async #checkedLater(
    subscription: LiveSubscription,
    event: Handled,
    context: CallContext,
    fitting: Promise<void>,
  ): Promise<unknown> {
    await fitting;
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
        const duration = this.#timers.now() - call.startedAt;
        this.#failed(subscription, event, context, token, error, duration);
      }
      return;
    }
    if (this.#ended(call)) {
      this.#settle(call.token, Settlement.succeeded, this.#timers.now() - call.startedAt, 0);
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
    if (subscription.group !== undefined) this.#settlements.explain(call.token, error);
    this.#settle(call.token, kind, this.#timers.now() - call.startedAt, 0);
    const final = this.#isFinal(subscription, context, again);
    this.#report(error, final, call.event, context.attempt);
    CallContext.abort(context, error);
  }

  /**
   * Whether no attempt follows this one, anywhere. A durable event is tried again by others, or later, when
   * this client ends; and who has lost its claim does not decide.
   */
  #isFinal(subscription: LiveSubscription, context: CallContext, retryable: boolean): boolean {
    const durable = subscription.group !== undefined;
    if (durable && CallContext.isAborted(context)) return false;
    if (!retryable || !subscription.hasAttemptAfter(context.attempt)) return true;
    return !durable && (this.#draining || subscription.state === 'closed');
  }

  #failed(
    subscription: LiveSubscription,
    event: Handled,
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
    if (subscription.group !== undefined) this.#settlements.explain(token, cause);
    if (again && thrown instanceof RetryLater) {
      this.#settle(token, Settlement.retryLater, duration, unsigned(thrown.delay));
    } else {
      this.#settle(token, again ? Settlement.failed : Settlement.failedFinal, duration, 0);
    }
    const final = this.#isFinal(subscription, context, again);
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
    this.#settlements.add(token, kind, duration, argument);
  }
}

/** Of an event, or of the batch that it is in, the one of a message id. */
function entryOf(
  event: Handled,
  ids: string | readonly string[],
  messageId: string,
): RawEvent | undefined {
  return Array.isArray(event) ? event[ids.indexOf(messageId)] : event;
}

/** Reading `then` may throw: that is a failure of the call. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
