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

/** The W3C trace context that an event carries in its metadata; options of the caller come before it. */
export type TraceContext = Pick<PublishOptions, 'traceparent' | 'tracestate'>;

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
}

/** How a handler call has ended for the bus. `final`: the event is not handled again. */
export type HandlerOutcome =
  | { readonly status: 'succeeded' }
  | { readonly status: 'failed' | 'timed-out'; readonly error: unknown; readonly final: boolean }
  /** The event was not handled: its subscription or its client has ended. */
  | { readonly status: 'not-handled' };

export interface Instrumentation {
  /** Must call `run` once and resolve or reject as it does. What it throws fails the publish. */
  publish(
    call: PublishCall,
    run: (trace?: TraceContext) => Promise<PublishResult>,
  ): Promise<PublishResult>;
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

/** Runs handler calls within the hooks, and remembers the calls whose outcome is not known yet. */
export class InstrumentedCalls {
  readonly #instrumentation: Instrumentation;
  readonly #hookFailed: (thrown: unknown) => void;
  readonly #open = new Map<HandlerContext, HandlerCall>();

  /** `hookFailed` is told what `handled` throws: there is no call left to fail. */
  constructor(instrumentation: Instrumentation, hookFailed: (thrown: unknown) => void) {
    this.#instrumentation = instrumentation;
    this.#hookFailed = hookFailed;
  }

  run(call: HandlerCall, handler: () => unknown): unknown {
    this.#open.set(call.context, call);
    return this.#instrumentation.handle(call, handler);
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
    const call = this.#open.get(context);
    if (call === undefined) return;
    this.#open.delete(context);
    try {
      callIn(call.event, () => this.#instrumentation.handled(call, outcome));
    } catch (error) {
      this.#hookFailed(error);
    }
  }
}
