/** Joining and leaving rooms and users. A client that is a member of any keeps the process alive. */

import { unwrap } from '../errors';
import type { Hold } from '../native/keepalive';
import type { NativeClient } from '../native/native';
import type { Requests } from './requests';

export class Memberships {
  readonly #native: NativeClient;
  readonly #requests: Requests;
  readonly #keepAlive: Hold;
  #acquired = false;

  constructor(native: NativeClient, requests: Requests, keepAlive: Hold) {
    this.#native = native;
    this.#requests = requests;
    this.#keepAlive = keepAlive;
  }

  /** Joins or leaves; resolves to whether that changed anything. `start` is called once the engine has accepted it. */
  async change(
    joins: boolean,
    kind: 'room' | 'user',
    name: string,
    member: string | undefined,
    start: () => void,
  ): Promise<boolean> {
    try {
      return await this.#requests.send<boolean>((ticket) => {
        unwrap(this.#native.setMembership(ticket, joins, kind, name, member ?? null));
        start();
      });
    } finally {
      this.#updateKeepAlive();
    }
  }

  /** Follows the engine, which alone knows what is joined: it takes back a join that failed. */
  #updateKeepAlive(): void {
    const joined = this.#native.hasJoined();
    if (joined === this.#acquired) return;
    this.#acquired = joined;
    if (joined) this.#keepAlive.acquire();
    else this.#keepAlive.release();
  }
}
