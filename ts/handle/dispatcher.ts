/**
 * Calls handlers and settles their calls. A synchronous handler costs its context and four numbers;
 * only a call that returns a promise gets a record of its own. Nothing that a handler throws gets out.
 */

import type { EventBusError } from '../errors';
import { busError, describe, RetryLater } from '../errors';
import type { InstrumentedCalls } from '../instrumentation';
import { type Columns, readEvent, readMessageId } from '../native/columns';
import { batchOf } from '../native/deliveries';
import type { DeliveryRun } from '../native/drained';
import type { HandlerInput, NativeClient, RunInfo } from '../native/native';
import { Settlement } from '../native/settlement';
import { mayBuild } from '../native/shapes';
import { setImmediate } from '../runtime/clock';
import { mayBeThenable } from '../runtime/promises';
import type { Timers } from '../runtime/timers';
import { SchemaMismatch } from '../validation/schemas';
import { Call, promiseOf } from './call';
import { CheckedCalls } from './checked-calls';
import { callIn, callOutside, handlerEnded, handlerStarted } from './current-event';
import type { DispatcherOptions, DispatcherSink } from './dispatcher-options';
import { CallContext, makeContext, patternIndexOf } from './handler-context';
import { endLostCalls } from './lost-claims';
import { type OwnEventsOwner, receiveOwn } from './own-events';
import { NOT_HANDLED, Settlements, toUint32 } from './settlements';
import type { LiveSubscription } from './subscription';
import { HandlerTimer } from './timeouts';
import { type BuildFault, failUnread } from './unread';

/** Of the language, whoever replaces it later. */
const { then } = Promise.prototype;

type RunningCall = Call<LiveSubscription>;

export class Dispatcher {
  readonly #native: Pick<NativeClient, 'buildByShapes'>;
  readonly #settlements: Settlements;
  readonly #timers: Timers;
  readonly #prefix: string;
  readonly #inherit: boolean;
  readonly #checked: CheckedCalls;
  readonly #instrumented: InstrumentedCalls;
  readonly #sink: DispatcherSink;
  readonly #subscriptions = new Map<number, LiveSubscription>();
  readonly #timer: HandlerTimer;
  readonly #own: OwnEventsOwner;
  #draining = false;

  constructor(native: NativeClient, options: DispatcherOptions, sink: DispatcherSink) {
    this.#native = native;
    this.#settlements = new Settlements(native);
    this.#timers = options.timers;
    this.#timer = new HandlerTimer(options.timers, (call) => this.#timedOut(call));
    this.#prefix = options.channelPrefix;
    this.#inherit = options.inherit;
    this.#checked = new CheckedCalls(options.schemas, options.instrumented);
    this.#instrumented = options.instrumented;
    this.#sink = sink;
    this.#own = {
      settlements: this.#settlements,
      timers: options.timers,
      faulty: (error) => sink.faulty(error),
    };
  }

  add(subscription: LiveSubscription): void {
    // Shapes cost the engine something, and nobody has a use for them where all data is handed on as text.
    if (!subscription.raw && mayBuild) this.#native.buildByShapes();
    this.#subscriptions.set(subscription.sub, subscription);
    this.#timer.watch(subscription);
  }

  /** The events of the subscription are no longer handled; calls that run go on. */
  remove(subscription: LiveSubscription): void {
    subscription.close();
    this.#subscriptions.delete(subscription.sub);
    if (subscription.head === undefined) this.#timer.unwatch(subscription);
    this.#returnBuffered(subscription);
  }

  find(sub: number): LiveSubscription | undefined {
    return this.#subscriptions.get(sub);
  }

  all(): IterableIterator<LiveSubscription> {
    return this.#subscriptions.values();
  }

  /** Calls the handlers of a drain, in order. */
  deliver(runs: readonly DeliveryRun[], columns: Columns): void {
    this.#enter(() => {
      for (let index = 0; index < runs.length; index += 1) {
        const fault = this.#deliverRun(runs[index] as DeliveryRun, columns);
        if (fault !== undefined) return this.#failUnread(runs.slice(index), fault);
      }
    });
  }

  /** Fails the calls of a drain whose events cannot be read at all. */
  fail(runs: readonly DeliveryRun[], error: unknown): void {
    this.#enter(() => this.#failUnread(runs, { error, made: 0 }));
  }

  #failUnread(runs: readonly DeliveryRun[], fault: BuildFault): void {
    this.#sink.faulty(failUnread(this.#settlements, runs, fault));
  }

  /** Handles the events that came while a subscription was paused. */
  resume(subscription: LiveSubscription): void {
    if (subscription.buffered.length === 0) return;
    // In a later turn: handlers never run inside a call of their user, which `resume()` is.
    setImmediate(() => {
      const buffered = subscription.takeBuffered();
      this.#enter(() => {
        for (const { event, info, messageId, token } of buffered) {
          this.#dispatch(subscription, event, info, messageId, token, this.#timers.now());
        }
      });
    });
  }

  /**
   * Other consumers have claimed the events of these calls: the signals of calls that run are aborted, and buffered
   * calls are never made. Returns the id of the event of that message, if one of the calls is still there.
   */
  loseClaim(tokens: readonly number[], messageId: string): string | undefined {
    const calls = {
      subscriptions: this.#subscriptions.values(),
      running: this.#timer.running(),
      inherit: this.#inherit,
      notHandled: (token: number) => this.#settle(token, Settlement.notHandled, 0, 0),
    };
    return endLostCalls(calls, tokens, messageId)?.id;
  }

  /** Whether no handler runs; events that wait in iterators are not counted. */
  get idle(): boolean {
    for (const call of this.#timer.running()) if (!call.subscription.isIterator) return false;
    return true;
  }

  /** The types of the events whose handlers run; of a batch, that of its first event. */
  *handledTypes(): Generator<string> {
    for (const { event } of this.#timer.running()) {
      yield Array.isArray(event) ? event[0].type : event.type;
    }
  }

  /** Gives up the events whose handlers have not begun, as the client is about to close. */
  drain(): void {
    this.#draining = true;
    for (const subscription of this.#subscriptions.values()) this.#returnBuffered(subscription);
  }

  /** Aborts the calls that still run. */
  close(reason: EventBusError): void {
    this.#settlements.close();
    for (const call of this.#timer.stop()) {
      call.subscription.remove(call);
      call.end('timedOut');
      if (this.#inherit) handlerEnded();
      this.#instrumented.notHandled(call.context);
      callIn(this.#contextOf(call.event), CallContext.abort, call.context, reason);
    }
    for (const subscription of this.#subscriptions.values()) subscription.close();
    this.#subscriptions.clear();
  }

  /** What follows from the calls, such as their timer, must not hold the context of whoever drains. */
  #enter(handle: () => void): void {
    try {
      callOutside(handle);
    } finally {
      this.#settlements.flush();
    }
  }

  /** What code of the user that belongs to an event runs in. */
  #contextOf(event: HandlerInput): HandlerInput | undefined {
    return this.#inherit ? event : undefined;
  }

  /** Handles the events of a run. Returns why one of them could not be built: it and what follows it were not handled. */
  #deliverRun(run: DeliveryRun, columns: Columns): BuildFault | undefined {
    const [sub, firstToken, count, info] = run;
    const subscription = this.#subscriptions.get(sub);
    if (subscription?.receiver !== undefined && this.#checked.areDirect) {
      return receiveOwn(this.#own, subscription.receiver, run, columns);
    }
    const isBatch = info !== 0 && info.batch !== undefined;
    const stored = info !== 0 && info.stream !== undefined;
    const calls = isBatch ? 1 : count;
    let now = this.#timers.now();
    let token = firstToken;
    for (let index = 0; index < calls; index += 1) {
      let event: HandlerInput;
      let messageId: string | readonly string[] = '';
      try {
        if (isBatch) ({ events: event, messageIds: messageId } = batchOf(count, columns));
        else {
          if (stored) messageId = readMessageId(columns);
          event = readEvent(columns);
        }
      } catch (error) {
        return { error, made: index };
      }
      if (subscription === undefined) this.#settle(token, Settlement.notHandled, 0, 0);
      else now = this.#dispatch(subscription, event, info, messageId, token, now);
      token = (token + 1) >>> 0;
    }
    return undefined;
  }

  /** Handles one event or batch. Returns when that was done, which is when the next one starts. */
  #dispatch(
    subscription: LiveSubscription,
    event: HandlerInput,
    info: RunInfo | 0,
    messageId: string | readonly string[],
    token: number,
    startedAt: number,
  ): number {
    if (subscription.state === 'closed') {
      this.#settle(token, Settlement.notHandled, 0, 0);
      return startedAt;
    }
    // Behind the events that are buffered already, or the order would change.
    if (subscription.state === 'paused' || subscription.buffered.length > 0) {
      subscription.buffer({ event, info, messageId, token });
      return startedAt;
    }
    const isDirect = this.#checked.areDirect;
    const pattern = subscription.patternAt(patternIndexOf(info));
    const context = makeContext(pattern, event, info, messageId, this.#prefix);
    const own = this.#inherit ? event : undefined;
    try {
      const result = isDirect
        ? callIn(own, subscription.handler, event as never, context)
        : callIn(own, () => this.#checked.run(subscription, event, context));
      const promise = mayBeThenable(result) ? promiseOf(result, own) : undefined;
      if (promise !== undefined) {
        this.#start(new Call(subscription, event, context, token, startedAt), promise);
        return this.#timers.now();
      }
    } catch (error) {
      const now = this.#timers.now();
      this.#failed(subscription, event, context, token, error, now - startedAt);
      return now;
    }
    const now = this.#timers.now();
    this.#succeeded(context, token, now - startedAt);
    return now;
  }

  /** Here the promise costs one more; an async function that awaits it would cost two, and hooks see each of them. */
  #start(call: RunningCall, promise: Promise<unknown>): void {
    call.subscription.append(call);
    this.#timer.started(call);
    if (this.#inherit) handlerStarted();
    const fulfilled = () => {
      if (!this.#ended(call)) return;
      this.#succeeded(call.context, call.token, this.#timers.now() - call.startedAt);
    };
    const rejected = (error: unknown) => {
      if (!this.#ended(call)) return;
      const { subscription, event, context, token } = call;
      const duration = this.#timers.now() - call.startedAt;
      this.#failed(subscription, event, context, token, error, duration);
    };
    void then.call(promise, fulfilled, rejected);
  }

  /** Whether the end of a call still counts. */
  #ended(call: RunningCall): boolean {
    const counts = call.state === 'running';
    if (counts) {
      call.subscription.remove(call);
      if (this.#inherit) handlerEnded();
      this.#unwatchIfOver(call.subscription);
    } else {
      this.#settle(call.token, Settlement.timedOutEnded, 0, 0);
    }
    call.end('ended');
    return counts;
  }

  #timedOut(call: RunningCall): void {
    call.subscription.remove(call);
    call.end('timedOut');
    callIn(this.#contextOf(call.event), () => this.#settleTimedOut(call));
    if (this.#inherit) handlerEnded();
    this.#unwatchIfOver(call.subscription);
  }

  /** Settles a call whose time is over, and tells everyone: this runs code of the user. */
  #settleTimedOut(call: RunningCall): void {
    const { subscription, context } = call;
    const message = `a handler of ${JSON.stringify(subscription.pattern)} did not finish in ${subscription.timeout} ms`;
    const error = busError('ERR_BUS_HANDLER_TIMEOUT', message);
    const again = subscription.isRetryable(error);
    const kind = again ? Settlement.timedOut : Settlement.timedOutFinal;
    if (subscription.group !== undefined) this.#settlements.setError(call.token, error);
    this.#settle(call.token, kind, this.#timers.now() - call.startedAt, 0);
    const final = subscription.isFinal(context, again, this.#draining);
    this.#instrumented.timedOut(context, error, final);
    const durable = subscription.group !== undefined;
    this.#sink.handlerFailed({
      error,
      event: call.event,
      attempt: context.attempt,
      final,
      durable,
    });
    CallContext.abort(context, error);
  }

  #succeeded(context: CallContext, token: number, duration: number): void {
    this.#settle(token, Settlement.succeeded, duration, 0);
    this.#instrumented.succeeded(context);
  }

  /** Settles a failed call, and tells everyone: this runs code of the user. */
  #failed(
    subscription: LiveSubscription,
    event: HandlerInput,
    context: CallContext,
    token: number,
    thrown: unknown,
    duration: number,
  ): void {
    const settle = () => this.#settleFailed(subscription, event, context, token, thrown, duration);
    callIn(this.#contextOf(event), settle);
  }

  #settleFailed(
    subscription: LiveSubscription,
    event: HandlerInput,
    context: CallContext,
    token: number,
    thrown: unknown,
    duration: number,
  ): void {
    if (thrown === NOT_HANDLED) {
      this.#settle(token, Settlement.notHandled, 0, 0);
      this.#instrumented.notHandled(context);
      return;
    }
    const mismatch = SchemaMismatch.is(thrown);
    const cause = mismatch ? thrown.error : thrown;
    const again = !mismatch && subscription.isRetryable(cause);
    const pattern = JSON.stringify(subscription.pattern);
    const message = `a handler of ${pattern} failed: ${describe(cause)}`;
    const error = busError('ERR_BUS_HANDLER_FAILED', message, { cause });
    if (subscription.group !== undefined) this.#settlements.setError(token, cause);
    if (again && thrown instanceof RetryLater) {
      this.#settle(token, Settlement.retryLater, duration, toUint32(thrown.delay));
    } else {
      this.#settle(token, again ? Settlement.failed : Settlement.failedFinal, duration, 0);
    }
    const final = subscription.isFinal(context, again, this.#draining);
    this.#instrumented.failed(context, cause, final);
    const durable = subscription.group !== undefined;
    this.#sink.handlerFailed({ error, event, attempt: context.attempt, final, durable });
  }

  #unwatchIfOver(subscription: LiveSubscription): void {
    if (subscription.state === 'closed' && subscription.head === undefined) {
      this.#timer.unwatch(subscription);
    }
  }

  /** Settles buffered events as not handled. */
  #returnBuffered(subscription: LiveSubscription): void {
    for (const { token } of subscription.takeBuffered()) {
      this.#settle(token, Settlement.notHandled, 0, 0);
    }
  }

  #settle(token: number, kind: number, duration: number, argument: number): void {
    this.#settlements.add(token, kind, duration, argument);
  }
}
