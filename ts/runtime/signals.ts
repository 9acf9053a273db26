/** Waiting for AbortSignals. */

/**
 * Who waits for which signal. One listener per signal: Node warns of a leak at the eleventh, and a
 * service may well end all it does by one signal.
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

/** Calls `waiter`, which must not throw, once `signal` aborts. Returns what ends the wait. */
export function onAbort(signal: AbortSignal, waiter: () => void): () => void {
  if (signal.aborted) {
    waiter();
    return () => {};
  }
  const waiters = waiting.get(signal) ?? new Waiters(signal);
  waiters.add(waiter);
  return () => waiters.remove(waiter);
}
