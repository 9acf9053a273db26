/** The handle that `subscribe` gives to its user. */

import { inspect } from 'node:util';
import type { Subscription } from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { invalidAt } from '../errors';
import { readOptions } from '../input/options';
import type { LiveSubscription } from './subscription';

/** What a handle needs of its client. */
export interface SubscriptionOwner {
  pause(subscription: LiveSubscription, paused: boolean): void;
  /** Ends it in the engine; false when it had ended before. */
  unsubscribe(subscription: LiveSubscription): Promise<boolean>;
}

export class SubscriptionHandle implements Subscription {
  readonly #live: LiveSubscription;
  readonly #owner: SubscriptionOwner;

  constructor(live: LiveSubscription, owner: SubscriptionOwner) {
    this.#live = live;
    this.#owner = owner;
  }

  get id(): string {
    return this.#live.id;
  }

  get pattern(): string | readonly string[] {
    return this.#live.pattern;
  }

  get group(): string | undefined {
    return this.#live.group;
  }

  get state(): Subscription['state'] {
    return this.#live.state;
  }

  pause(): void {
    this.#setPaused(true);
  }

  resume(): void {
    this.#setPaused(false);
  }

  unsubscribe(options?: { wait?: boolean }): Promise<boolean> {
    // Before anything is awaited: afterwards the calling handler may have ended.
    const idle = readWaitFlag(options) ? this.#live.idle() : undefined;
    return this.#unsubscribe(idle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unsubscribe();
  }

  async #unsubscribe(idle: Promise<void> | undefined): Promise<boolean> {
    const found = await this.#owner.unsubscribe(this.#live);
    await idle;
    return found;
  }

  #setPaused(paused: boolean): void {
    const from = paused ? 'active' : 'paused';
    if (this.#live.state !== from) return;
    this.#live.state = paused ? 'paused' : 'active';
    this.#owner.pause(this.#live, paused);
  }
}

startAsyncStacksAtCaller(SubscriptionHandle, ['unsubscribe']);

// Without it the console shows an empty object: all fields are getters.
Object.defineProperty(SubscriptionHandle.prototype, inspect.custom, {
  value(this: SubscriptionHandle): string {
    const { id, pattern, group, state } = this;
    return `Subscription ${inspect({ id, pattern, ...(group !== undefined && { group }), state })}`;
  },
});

/** Reads `{ wait }`. */
function readWaitFlag(options: unknown): boolean {
  const code = 'ERR_BUS_INVALID_OPTIONS';
  const { wait } = readOptions(options, ['wait']);
  if (wait !== undefined && typeof wait !== 'boolean') {
    throw invalidAt(code, 'wait', 'must be true or false');
  }
  return wait === true;
}
