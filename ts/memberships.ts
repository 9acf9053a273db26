/** What a client has joined, as far as it keeps the process alive. */

import { unwrap } from './errors';
import type { KeepAlive } from './keepalive';
import type { NativeClient } from './native';
import type { Requests } from './requests';

export class Memberships {
  readonly #native: NativeClient;
  readonly #requests: Requests;
  readonly #keepAlive: KeepAlive;
  /** The members of each room or user; `''` stands for the default one. */
  readonly #joined = new Map<string, Set<string>>();

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
    const key = `${kind}:${name}`;
    const changed = this.#requests.send<boolean>((ticket) => {
      unwrap(this.#native.attend(ticket, joins, kind, name, member ?? null));
      start();
      // In the order of the calls, as the engine has it.
      if (joins) this.#add(key, member ?? '');
      else this.#remove(key, member);
    });
    try {
      return await changed;
    } catch (error) {
      if (joins) this.#remove(key, member ?? '');
      throw error;
    }
  }

  #add(key: string, member: string): void {
    const members = this.#joined.get(key) ?? new Set();
    if (members.size === 0) {
      this.#joined.set(key, members);
      this.#keepAlive.acquire();
    }
    members.add(member);
  }

  #remove(key: string, member: string | undefined): void {
    const members = this.#joined.get(key);
    if (members === undefined) return;
    if (member === undefined) members.clear();
    else members.delete(member);
    if (members.size > 0) return;
    this.#joined.delete(key);
    this.#keepAlive.release();
  }
}
