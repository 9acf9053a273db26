/** Keeps the process, and a client that has someone to answer to, alive. */

import { setImmediate } from '../runtime/clock';
import type { NativeClient } from './native';

/**
 * The clients with something unsettled. The native side refers to a client only weakly; this is the
 * strong reference while someone waits for an answer.
 */
const alive = new Set<object>();

/** What keeps the process alive, or for a test bus does not. */
export interface Hold {
  acquire(): void;
  release(): void;
}

export const NO_HOLD: Hold = { acquire() {}, release() {} };

export class KeepAlive implements Hold {
  readonly #native: NativeClient;
  readonly #owner: object;
  #count = 0;
  #alive = false;
  #releasing = false;
  #closed = false;

  /** `owner` must not be collected while the process is kept alive for it. */
  constructor(native: NativeClient, owner: object) {
    this.#native = native;
    this.#owner = owner;
  }

  acquire(): void {
    if (this.#closed) return;
    this.#count += 1;
    if (this.#alive) return;
    this.#alive = true;
    alive.add(this.#owner);
    this.#native.ref();
  }

  release(): void {
    if (this.#closed) return;
    this.#count -= 1;
    if (this.#count > 0 || this.#releasing) return;
    // The release runs later than the continuations of the calls that just settled: a caller that awaits one publish
    // after the other keeps the client alive in between. The immediate itself keeps the process alive, as a loop that
    // only the native side keeps alive would never run it otherwise.
    this.#releasing = true;
    setImmediate(this.#unref);
  }

  /** Releases the process for good. */
  close(): void {
    this.#closed = true;
    this.#count = 0;
    this.#unref();
  }

  readonly #unref = (): void => {
    this.#releasing = false;
    if (this.#count > 0 || !this.#alive) return;
    this.#alive = false;
    alive.delete(this.#owner);
    this.#native.unref();
  };
}
