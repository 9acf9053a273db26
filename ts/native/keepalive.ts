/** Whether a client keeps the process, and itself, alive. */

import { setImmediate } from '../runtime/clock';
import type { NativeClient } from './native';

/**
 * Clients with something unsettled. The native side knows a client only weakly; this is the strong
 * reference while there is someone to answer to.
 */
const held = new Set<object>();

export class KeepAlive {
  readonly #native: NativeClient;
  readonly #owner: object;
  #count = 0;
  #holding = false;
  #releasing = false;
  #closed = false;

  /** `owner` is what must not be collected meanwhile. */
  constructor(native: NativeClient, owner: object) {
    this.#native = native;
    this.#owner = owner;
  }

  acquire(): void {
    if (this.#closed) return;
    this.#count += 1;
    if (this.#holding) return;
    this.#holding = true;
    held.add(this.#owner);
    this.#native.hold(true);
  }

  release(): void {
    if (this.#closed) return;
    this.#count -= 1;
    if (this.#count > 0 || this.#releasing) return;
    // Later than the continuations of what just settled: a caller that awaits one publish after the
    // other does not let go in between. The immediate is not unref'd, or a loop that is only held
    // by the native side would never run it.
    this.#releasing = true;
    setImmediate(this.#letGo);
  }

  /** Lets go for good. */
  close(): void {
    this.#closed = true;
    this.#count = 0;
    this.#letGo();
  }

  readonly #letGo = (): void => {
    this.#releasing = false;
    if (this.#count > 0 || !this.#holding) return;
    this.#holding = false;
    held.delete(this.#owner);
    this.#native.hold(false);
  };
}
