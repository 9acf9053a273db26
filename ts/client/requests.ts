/** Requests to the engine, whose replies come with their ticket in a later drain. */

import type { EventBusError } from '../errors';
import { busError } from '../errors';
import type { KeepAlive } from '../native/keepalive';
import { aborted, onAbort, throwIfAborted } from '../runtime/signals';

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
      // This comes last, as it runs code of the user's signal.
      stopWaiting?.();
    }
  }

  resolve(ticket: number, value: unknown): void {
    this.#open.get(ticket)?.resolve(value);
  }

  reject(ticket: number, error: EventBusError): void {
    this.#open.get(ticket)?.reject(error);
  }

  /** Refuses the requests without an answer, as the client has closed. */
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
