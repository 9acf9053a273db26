/** Waiting for AbortSignals, and the errors of calls that they end. */

import { busError, type EventBusError } from '../errors';

/**
 * The waiters of each signal. A signal gets one listener for all of them: Node warns of a leak at the
 * eleventh listener, and a service may end everything it does by one signal.
 */
const waiting = new WeakMap<AbortSignal, Waiters>();

class Waiters {
  readonly #signal: AbortSignal;
  readonly #waiters = new Set<() => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    waiting.set(signal, this);
    signal.addEventListener('abort', this.#abort, { once: true });
  }

  add(waiter: () => void): void {
    this.#waiters.add(waiter);
  }

  remove(waiter: () => void): void {
    if (this.#waiters.delete(waiter) && this.#waiters.size === 0) this.#end();
  }

  readonly #abort = (): void => {
    this.#end();
    for (const waiter of this.#waiters) waiter();
  };

  #end(): void {
    this.#signal.removeEventListener('abort', this.#abort);
    if (waiting.get(this.#signal) === this) waiting.delete(this.#signal);
  }
}

/** Calls `waiter`, which must not throw, once `signal` aborts. Returns a function that ends the wait. */
export function onAbort(signal: AbortSignal, waiter: () => void): () => void {
  if (signal.aborted) {
    waiter();
    return () => {};
  }
  const waiters = waiting.get(signal) ?? new Waiters(signal);
  waiters.add(waiter);
  return () => waiters.remove(waiter);
}

/** The error of a call that its signal has ended; `cause` is the reason of the signal. */
export function aborted(signal: AbortSignal | undefined, done?: string): EventBusError {
  const message = done === undefined ? 'the call was aborted' : `the call was aborted (${done})`;
  return busError('ERR_BUS_ABORTED', message, { cause: signal?.reason });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal);
}
