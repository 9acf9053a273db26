/** Requests that are answered by a ticket in a later drain. */

import type { EventBusError } from '../errors';
import { busError, invalidAt } from '../errors';
import { reading } from '../input/options';
import type { KeepAlive } from '../native/keepalive';
import { onAbort } from '../runtime/signals';

interface Pending {
  resolve(value: unknown): void;
  reject(error: EventBusError): void;
}

export class Requests {
  readonly #keepAlive: KeepAlive;
  readonly #open = new Map<number, Pending>();
  #last = 0;

  constructor(keepAlive: KeepAlive) {
    this.#keepAlive = keepAlive;
  }

  /**
   * Starts a request and waits for its answer, keeping the process alive meanwhile. When `signal`
   * aborts it rejects with `ABORTED`, and the answer that comes later is ignored.
   */
  async send<T>(start: (ticket: number) => void, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    const ticket = this.#ticket();
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#open.set(ticket, { resolve, reject });
    });
    let stopWaiting: (() => void) | undefined;
    this.#keepAlive.acquire();
    try {
      start(ticket);
      if (signal !== undefined) {
        stopWaiting = onAbort(signal, () => this.reject(ticket, aborted(signal)));
      }
      return (await answer) as T;
    } finally {
      this.#open.delete(ticket);
      this.#keepAlive.release();
      // Last: it calls the signal of the user.
      stopWaiting?.();
    }
  }

  resolve(ticket: number, value: unknown): void {
    this.#open.get(ticket)?.resolve(value);
  }

  reject(ticket: number, error: EventBusError): void {
    this.#open.get(ticket)?.reject(error);
  }

  /** Refuses whatever is still waiting, when the client has closed. */
  close(): void {
    for (const pending of this.#open.values()) {
      pending.reject(busError('ERR_BUS_CLOSED', 'the client is closed'));
    }
  }

  #ticket(): number {
    do this.#last = (this.#last + 1) >>> 0;
    while (this.#open.has(this.#last));
    return this.#last;
  }
}

/** The error of a call that its signal ended; `cause` is the signal's reason. */
export function aborted(signal: AbortSignal | undefined, done?: string): EventBusError {
  const message = done === undefined ? 'the call was aborted' : `the call was aborted (${done})`;
  return busError('ERR_BUS_ABORTED', message, { cause: signal?.reason });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal);
}

/** Checks that an option is an AbortSignal, of any realm. */
export function checkSignal(value: unknown): asserts value is AbortSignal | undefined {
  if (value === undefined) return;
  const fits = reading('signal', () => {
    const signal = value as Partial<AbortSignal> | null;
    return (
      typeof signal?.aborted === 'boolean' &&
      typeof signal.addEventListener === 'function' &&
      typeof signal.removeEventListener === 'function'
    );
  });
  if (!fits) {
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'signal', 'must be an AbortSignal');
  }
}
