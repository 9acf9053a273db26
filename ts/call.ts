/** One handler call: what the handler is told of it, and where it stands. */

import type { HandlerContext } from '../index';
import type { RawEvent, RunInfo } from './native';
import type { LiveSubscription } from './subscription';

/** The `ctx` of a handler. One per call, as it may be kept; its signal is made when first read. */
export class CallContext implements HandlerContext {
  readonly pattern: string;
  readonly channel: string;
  readonly attempt: number;
  #controller: AbortController | undefined;
  #aborted: { reason: unknown } | undefined;

  constructor(pattern: string, channel: string, attempt: number) {
    this.pattern = pattern;
    this.channel = channel;
    this.attempt = attempt;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  static isAborted(context: CallContext): boolean {
    return context.#aborted !== undefined;
  }

  /** Aborts the signal, or the one that may be asked for later. */
  static abort(context: CallContext, reason: unknown): void {
    context.#aborted ??= { reason };
    context.#controller?.abort(reason);
  }
}

/** A call that goes on after the drain. Calls of a subscription are linked in the order they began. */
export class Call {
  readonly subscription: LiveSubscription;
  readonly event: RawEvent;
  readonly context: CallContext;
  readonly token: number;
  readonly startedAt: number;
  /** `zombie`: its time is over, and what it still does no longer counts. */
  state: 'running' | 'zombie' | 'ended' = 'running';
  previous: Call | undefined;
  next: Call | undefined;
  /** Whether it waits, itself, for the others of its subscription to end. */
  waits = false;
  #ended: (() => void)[] | undefined;

  constructor(
    subscription: LiveSubscription,
    event: RawEvent,
    context: CallContext,
    token: number,
    startedAt: number,
  ) {
    this.subscription = subscription;
    this.event = event;
    this.context = context;
    this.token = token;
    this.startedAt = startedAt;
  }

  /** Resolves when the call has ended or its time is over. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.state !== 'running') resolve();
      else if (this.#ended === undefined) this.#ended = [resolve];
      else this.#ended.push(resolve);
    });
  }

  /** Leaves the state `running`. */
  leave(state: 'zombie' | 'ended'): void {
    this.state = state;
    const ended = this.#ended;
    this.#ended = undefined;
    if (ended !== undefined) for (const resolve of ended) resolve();
  }
}

/** The context of an event of a run. */
export function contextOf(
  subscription: LiveSubscription,
  event: RawEvent,
  info: RunInfo | 0,
  prefix: string,
): CallContext {
  if (info === 0) return new CallContext(subscription.patternAt(0), prefix + event.type, 1);
  return new CallContext(
    subscription.patternAt(info.pattern ?? 0),
    info.channel ?? prefix + event.type,
    info.attempt ?? 1,
  );
}
