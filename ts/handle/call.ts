/** A handler call that goes on after the drain in which it began. */

import type { HandlerInput } from '../native/native';
import { isPlainPromise, isThenable } from '../runtime/promises';
import { callIn } from './current-event';
import type { CallContext } from './handler-context';

/**
 * One call that returned a promise. The calls of a subscription (`S`) are linked in the order in
 * which they began.
 */
export class Call<S> {
  readonly subscription: S;
  readonly event: HandlerInput;
  readonly context: CallContext;
  readonly token: number;
  readonly startedAt: number;
  /** A call is `timedOut` when its time is over: it may still run, but its outcome no longer counts. */
  state: 'running' | 'timedOut' | 'ended' = 'running';
  previous: Call<S> | undefined;
  next: Call<S> | undefined;
  /** Whether the call itself waits for the other calls of its subscription to end. */
  waits = false;
  #waiting: (() => void)[] | undefined;

  constructor(
    subscription: S,
    event: HandlerInput,
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
  whenEnded(): Promise<void> {
    return new Promise((resolve) => {
      if (this.state !== 'running') resolve();
      else if (this.#waiting === undefined) this.#waiting = [resolve];
      else this.#waiting.push(resolve);
    });
  }

  /** Ends the state `running`. */
  end(state: 'timedOut' | 'ended'): void {
    this.state = state;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) for (const resolve of waiting) resolve();
  }
}

/** The promise that a handler has returned; undefined for what is none. Anything else with a `then` is awaited in `event`. */
export function promiseOf(
  value: object,
  event: HandlerInput | undefined,
): Promise<unknown> | undefined {
  if (isPlainPromise(value)) return value;
  return callIn(event, () => (isThenable(value) ? awaited(value) : undefined));
}

/** `await` takes the faults of a thenable (a `then` that throws) as rejections. */
async function awaited(value: PromiseLike<unknown>): Promise<unknown> {
  return await value;
}
