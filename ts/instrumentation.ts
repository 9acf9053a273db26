/**
 * The seam for tracing: hooks around every publish and every handler call. A client without hooks takes the same
 * path as if there were no seam.
 */

import type { HandlerContext, PublishOptions, PublishResult } from '../index';
import { callIn } from './handle/current-event';
import type { HandlerInput, Recipients } from './native/native';

/** One publish, as its caller has asked for it: nothing of it has been checked yet. */
export interface PublishCall {
  readonly type: string;
  readonly data: unknown;
  readonly options: PublishOptions | undefined;
  /** Whom the event is for; undefined when it is for those who subscribe to its type. */
  readonly to: Recipients | undefined;
}

/** The W3C trace context, and baggage, that an event carries in its metadata; options of the caller come before it. */
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
}

const SUCCEEDED: HandlerOutcome = { status: 'succeeded' };
const NOT_HANDLED: HandlerOutcome = { status: 'not-handled' };

/** Runs handler calls within the hooks, while there are any, and remembers the calls whose outcome is not known yet. */
export class InstrumentedCalls {
  #current: Instrumentation | undefined;
  readonly #hookFailed: (thrown: unknown) => void;
  /** With the hooks that a call began in: they may be others when it ends. */
  readonly #open = new Map<HandlerContext, { call: HandlerCall; hooks: Instrumentation }>();

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

  run(call: HandlerCall, handler: () => unknown): unknown {
    const hooks = this.#current;
    if (hooks === undefined) return handler();
    this.#open.set(call.context, { call, hooks });
    return hooks.handle(call, handler);
  }

  succeeded(context: HandlerContext): void {
    this.#end(context, SUCCEEDED);
  }

  notHandled(context: HandlerContext): void {
    this.#end(context, NOT_HANDLED);
  }

  failed(context: HandlerContext, error: unknown, final: boolean): void {
    this.#end(context, { status: 'failed', error, final });
  }

  timedOut(context: HandlerContext, error: unknown, final: boolean): void {
    this.#end(context, { status: 'timed-out', error, final });
  }

  #end(context: HandlerContext, outcome: HandlerOutcome): void {
    if (this.#open.size === 0) return;
    const open = this.#open.get(context);
    if (open === undefined) return;
    this.#open.delete(context);
    const { call, hooks } = open;
    this.tell(() => callIn(call.event, () => hooks.handled(call, outcome)));
  }

  /** Tells hooks of an end. What they throw has no call left to fail. */
  tell(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      this.#hookFailed(error);
    }
  }
}
