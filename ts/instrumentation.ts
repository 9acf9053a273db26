/**
 * The seam for tracing: hooks around every publish and every handler call. A client without hooks takes the same
 * path as if there were no seam.
 */

import type { HandlerContext, PublishOptions, PublishResult } from '../index';
import { callIn } from './handle/current-event';
import { CallContext } from './handle/handler-context';
import type { HandlerInput, Recipients } from './native/native';

/** One publish, as its caller has asked for it: nothing of it has been checked yet. */
export interface PublishCall {
  readonly type: string;
  readonly data: unknown;
  readonly options: PublishOptions | undefined;
  /** Whom the event is for; undefined when it is for those who subscribe to its type. */
  readonly to: Recipients | undefined;
}

/**
 * The W3C trace context, and baggage, that an event carries in its metadata; options of the caller come before it. The
 * `traceparent` is one, or the event is not what it says.
 */
export interface TraceContext extends Pick<PublishOptions, 'traceparent' | 'tracestate'> {
  baggage?: string | undefined;
}

/** One call of a handler. */
export interface HandlerCall {
  /** The event, or the events of a batch. */
  readonly event: HandlerInput;
  /** The `ctx` of the handler: one object per call, with the pattern, the channel and the attempt. */
  readonly context: HandlerContext;
  /** The consumer group of a durable subscription. */
  readonly group: string | undefined;
  /** True for `events()`: the call lasts until the loop asks for the next event. */
  readonly isIterator: boolean;
  /** Whatever the hooks remember of the call: a map beside it would cost the garbage collector for each event. */
  remembered: unknown;
}

/** How a handler call has ended for the bus. `final`: the event is not handled again. */
export type HandlerOutcome =
  | { readonly status: 'succeeded' }
  | { readonly status: 'failed' | 'timed-out'; readonly error: unknown; readonly final: boolean }
  /** The event was not handled: its subscription or its client has ended. */
  | { readonly status: 'not-handled' };

/** One publish that has begun. It is told once how it has ended, before its caller is. */
export interface OpenPublish {
  /** What goes along with the event. */
  readonly trace: TraceContext | undefined;
  succeeded(result: PublishResult): void;
  failed(error: unknown): void;
}

export interface Instrumentation {
  /** Told of a publish before anything of it is done. What it throws fails the publish. */
  publish(call: PublishCall): OpenPublish;
  /** Must call `run` once and return, or throw, what it does. What it throws itself fails the handler call. */
  handle(call: HandlerCall, run: () => unknown): unknown;
  /**
   * Told once for each `handle` how the call has ended, in the context of its event. A call that was timed out may
   * still be running.
   */
  handled(call: HandlerCall, outcome: HandlerOutcome): void;
  /**
   * True if nothing that `handled` does looks at the asynchronous context. It is then told of a success wherever that is known,
   * which costs no change of context.
   */
  readonly endsAnywhere?: boolean;
}

const SUCCEEDED: HandlerOutcome = { status: 'succeeded' };
const NOT_HANDLED: HandlerOutcome = { status: 'not-handled' };

/** A handler call whose outcome is not known yet, with the hooks that it began in: they may be others when it ends. */
export class OpenCall implements HandlerCall {
  readonly event: HandlerInput;
  readonly context: CallContext;
  readonly group: string | undefined;
  readonly isIterator: boolean;
  remembered: unknown = undefined;
  readonly hooks: Instrumentation;

  constructor(
    hooks: Instrumentation,
    event: HandlerInput,
    context: CallContext,
    group: string | undefined,
    isIterator: boolean,
  ) {
    this.hooks = hooks;
    this.event = event;
    this.context = context;
    this.group = group;
    this.isIterator = isIterator;
  }
}

const tellHandled = (call: OpenCall, outcome: HandlerOutcome) => call.hooks.handled(call, outcome);

/** Runs handler calls within the hooks, while there are any. A call is remembered with its context until its outcome is known. */
export class InstrumentedCalls {
  #current: Instrumentation | undefined;
  readonly #hookFailed: (thrown: unknown) => void;

  /** `hookFailed` is told what a hook throws that is told of an end. */
  constructor(instrumentation: Instrumentation | undefined, hookFailed: (thrown: unknown) => void) {
    this.#current = instrumentation;
    this.#hookFailed = hookFailed;
  }

  /** The hooks of the calls that begin now. */
  get current(): Instrumentation | undefined {
    return this.#current;
  }

  /** Puts hooks in the place of those that there are. Returns these. */
  replace(hooks: Instrumentation | undefined): Instrumentation | undefined {
    const before = this.#current;
    this.#current = hooks;
    return before;
  }

  /** Runs a handler within the hooks that there are. */
  run(
    event: HandlerInput,
    context: CallContext,
    group: string | undefined,
    isIterator: boolean,
    handler: () => unknown,
  ): unknown {
    const hooks = this.#current;
    if (hooks === undefined) return handler();
    const call = new OpenCall(hooks, event, context, group, isIterator);
    CallContext.remember(context, call);
    return hooks.handle(call, handler);
  }

  succeeded(context: CallContext): void {
    const call = CallContext.forget(context);
    if (call !== undefined) this.#end(call as OpenCall, SUCCEEDED);
  }

  notHandled(context: CallContext): void {
    const call = CallContext.forget(context);
    if (call !== undefined) this.#end(call as OpenCall, NOT_HANDLED);
  }

  failed(context: CallContext, error: unknown, final: boolean): void {
    const call = CallContext.forget(context);
    if (call !== undefined) this.#end(call as OpenCall, { status: 'failed', error, final });
  }

  timedOut(context: CallContext, error: unknown, final: boolean): void {
    const call = CallContext.forget(context);
    if (call !== undefined) this.#end(call as OpenCall, { status: 'timed-out', error, final });
  }

  publishSucceeded(open: OpenPublish, result: PublishResult): void {
    try {
      open.succeeded(result);
    } catch (error) {
      this.#hookFailed(error);
    }
  }

  publishFailed(open: OpenPublish | undefined, thrown: unknown): void {
    try {
      open?.failed(thrown);
    } catch (error) {
      this.#hookFailed(error);
    }
  }

  /** Tells hooks of an end. What they throw has no call left to fail. */
  #end(call: OpenCall, outcome: HandlerOutcome): void {
    try {
      const { hooks } = call;
      if (hooks.endsAnywhere && outcome === SUCCEEDED) hooks.handled(call, outcome);
      else callIn(call.event, tellHandled, call, outcome);
    } catch (error) {
      this.#hookFailed(error);
    }
  }
}
