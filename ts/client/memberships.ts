/** Joining and leaving; what a client has joined keeps the process alive. */

import { unwrap } from '../errors';
import type { KeepAlive } from '../native/keepalive';
import type { NativeClient } from '../native/native';
import type { Requests } from './requests';

export class Memberships {
  readonly #native: NativeClient;
  readonly #requests: Requests;
  readonly #keepAlive: KeepAlive;
  #holding = false;

  constructor(native: NativeClient, requests: Requests, keepAlive: KeepAlive) {
    this.#native = native;
    this.#requests = requests;
    this.#keepAlive = keepAlive;
  }

  /** Joins or leaves; whether that changed anything. `start` is called when the engine has accepted it. */
  async change(
    joins: boolean,
    kind: 'room' | 'user',
    name: string,
    member: string | undefined,
    start: () => void,
  ): Promise<boolean> {
    try {
      return await this.#requests.send<boolean>((ticket) => {
        unwrap(this.#native.attend(ticket, joins, kind, name, member ?? null));
        start();
      });
    } finally {
      this.#hold();
    }
  }

  /** While anything is joined, as the engine has it: a join that failed takes itself back there. */
  #hold(): void {
    const joined = this.#native.hasJoined();
    if (joined === this.#holding) return;
    this.#holding = joined;
    if (joined) this.#keepAlive.acquire();
    else this.#keepAlive.release();
  }
}
