/** The subscriptions of a hub on its bus: all clients of a pattern share one. */

import type { BusEvent, EventBusClient, HandlerContext, Subscription } from '../../index';
import { bytesRestored } from './binary';
import { type By, keyOf } from './protocol';

export type Pattern = string | readonly string[];

export interface Feed {
  readonly key: string;
  readonly pattern: Pattern;
  readonly by: By;
}

export type FeedTaker = (feed: Feed, event: BusEvent, context: HandlerContext) => void;

interface Shared extends Feed {
  users: number;
  readonly subscription: Promise<Subscription>;
}

export class Feeds {
  readonly #bus: EventBusClient;
  readonly #take: FeedTaker;
  readonly #shared = new Map<string, Shared>();

  constructor(bus: EventBusClient, take: FeedTaker) {
    this.#bus = bus;
    this.#take = take;
  }

  get size(): number {
    return this.#shared.size;
  }

  /** One more user; resolves when the bus has confirmed the subscription, and rejects, without the user, as `subscribe` does. */
  async acquire(pattern: Pattern, by: By): Promise<Feed> {
    const key = keyOf(pattern, by);
    let shared = this.#shared.get(key);
    if (shared === undefined) {
      const feed: Feed = { key, pattern, by };
      const handler = (event: BusEvent, context: HandlerContext) =>
        this.#take(feed, bytesRestored(event), context);
      const options = { by, retryOnError: false } as const;
      const subscription = this.#bus.subscribe(pattern as string, handler, options);
      shared = { ...feed, users: 0, subscription };
      this.#shared.set(key, shared);
    }
    shared.users += 1;
    try {
      await shared.subscription;
      return shared;
    } catch (error) {
      this.#release(shared);
      throw error;
    }
  }

  /** One user less; the last one ends the subscription. */
  release(key: string): void {
    const shared = this.#shared.get(key);
    if (shared !== undefined) this.#release(shared);
  }

  /** Those whose patterns are among these, which a gap of the bus is about. */
  named(patterns: readonly string[]): Feed[] {
    return [...this.#shared.values()].filter(({ pattern }) =>
      (typeof pattern === 'string' ? [pattern] : pattern).some((one) => patterns.includes(one)),
    );
  }

  async close(): Promise<void> {
    const all = [...this.#shared.values()];
    this.#shared.clear();
    await Promise.all(all.map(end));
  }

  #release(shared: Shared): void {
    shared.users -= 1;
    if (shared.users > 0) return;
    if (this.#shared.get(shared.key) === shared) this.#shared.delete(shared.key);
    void end(shared);
  }
}

async function end({ subscription }: Shared): Promise<void> {
  try {
    await (await subscription).unsubscribe();
  } catch {
    // There is no subscription, or its client has closed.
  }
}
