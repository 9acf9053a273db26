/** Those who wait until a client is ready. */

import type { EventBusError } from '../../../index';
import { busError } from '../../errors';
import { clearTimeout, setTimeout } from '../../runtime/clock';

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

export class Waiting {
  readonly #waiters = new Set<Waiter>();

  /** Rejects after `timeout` ms, with the last failure if there was one. */
  async until(
    timeout: number,
    signal: AbortSignal | undefined,
    lastFailure: () => EventBusError | null,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let waiter: Waiter | undefined;
    let abort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        waiter = { resolve, reject };
        this.#waiters.add(waiter);
        abort = () => {
          reject(busError('ERR_BUS_ABORTED', 'the call was aborted', { cause: signal?.reason }));
        };
        signal?.addEventListener('abort', abort);
        if (signal?.aborted) abort();
        if (!Number.isFinite(timeout)) return;
        timer = setTimeout(() => {
          const message = `the hub was not reached within ${timeout} ms`;
          reject(lastFailure() ?? busError('ERR_BUS_CONNECT_TIMEOUT', message));
        }, timeout);
      });
    } finally {
      clearTimeout(timer);
      if (abort !== undefined) signal?.removeEventListener('abort', abort);
      if (waiter !== undefined) this.#waiters.delete(waiter);
    }
  }

  ready(): void {
    for (const { resolve } of this.#waiters) resolve();
  }

  fail(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error);
  }
}
