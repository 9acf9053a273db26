/** The subscriptions and memberships of a client of a hub, which outlive its connections. */

import { randomUUID } from 'node:crypto';
import type { BusEvent, EventBusError, SubscriptionInfo } from '../../../index';
import { EventBusError as BusError, closedError } from '../../errors';
import { type By, keyOf } from '../protocol';
import type { ClientCounters } from './counters';
import { type HubHandler, HubSubscription } from './hub-subscription';
import type { HubLink } from './link';
import type { HubSubscribeSettings } from './subscribe-options';

/** As `redis.commandTimeout`, in ms. */
export const COMMAND_TIMEOUT = 5000;

/** What the subscriptions of one pattern share at the hub. */
interface AtHub {
  readonly pattern: string | readonly string[];
  readonly by: By;
  readonly subscriptions: Set<HubSubscription>;
  readonly confirmed: Promise<unknown>;
  isConfirmed: boolean;
}

export interface Joined {
  readonly room?: string;
  readonly user?: string;
  readonly member?: string;
}

export class HubSubscriptions {
  readonly #link: HubLink;
  readonly #counters: ClientCounters;
  readonly #failed: (error: EventBusError, event?: BusEvent) => void;
  readonly #byKey = new Map<string, AtHub>();
  readonly #byId = new Map<string, HubSubscription>();
  readonly #joined = new Map<string, Joined>();
  /** Patterns that the hub has refused when they were asked for again. */
  readonly refused = new Set<string>();

  constructor(
    link: HubLink,
    counters: ClientCounters,
    failed: (error: EventBusError, event?: BusEvent) => void,
  ) {
    this.#link = link;
    this.#counters = counters;
    this.#failed = failed;
  }

  get all(): HubSubscription[] {
    return [...this.#byId.values()];
  }

  /** The patterns that the hub has confirmed. */
  get patterns(): string[] {
    const confirmed = [...this.#byKey.values()].filter(({ isConfirmed }) => isConfirmed);
    return confirmed.flatMap(({ pattern }) => pattern);
  }

  list(): SubscriptionInfo[] {
    return this.all.map(({ id, pattern, state }) => ({
      id,
      pattern: typeof pattern === 'string' ? pattern : [...pattern],
      state,
    }));
  }

  find(id: string): HubSubscription | undefined {
    return this.#byId.get(id);
  }

  /** Resolves when the hub has confirmed it; rejects, leaving nothing behind. */
  async subscribe(
    pattern: string | readonly string[],
    handler: HubHandler,
    settings: HubSubscribeSettings,
  ): Promise<HubSubscription> {
    const { by, signal, whenReady } = settings;
    const key = keyOf(pattern, by);
    const owner = { counters: this.#counters, failed: this.#failed, end: this.end };
    const one = new HubSubscription(randomUUID(), key, pattern, handler, settings, owner);
    const timeout = whenReady ? Number.POSITIVE_INFINITY : COMMAND_TIMEOUT;
    let atHub = this.#byKey.get(key);
    if (atHub === undefined) {
      const confirmed = this.#link.ask('subscribe', [pattern, by], { timeout, signal });
      atHub = { pattern, by, subscriptions: new Set(), confirmed, isConfirmed: false };
      this.#byKey.set(key, atHub);
    }
    atHub.subscriptions.add(one);
    this.#byId.set(one.id, one);
    try {
      await atHub.confirmed;
    } catch (error) {
      this.#forget(one);
      throw error;
    }
    atHub.isConfirmed = true;
    if (one.state === 'closed') throw closedError();
    one.activate();
    if (signal?.aborted) await this.end(one);
    else signal?.addEventListener('abort', () => void this.end(one), { once: true });
    return one;
  }

  readonly end = async (one: HubSubscription): Promise<boolean> => {
    if (one.state === 'closed') return false;
    this.#forget(one);
    return true;
  };

  /** Hands an event to those who have subscribed to the pattern that it comes for. */
  take(event: BusEvent, pattern: string | readonly string[], by: By): void {
    const atHub = this.#byKey.get(keyOf(pattern, by));
    if (atHub === undefined) {
      // The hub has confirmed it after nobody waited for it any more.
      this.#link.tell('unsubscribe', pattern, by);
      return;
    }
    const now = Date.now();
    this.#counters.arrived(now);
    const sent = Date.parse(event.metadata?.timestamp);
    if (sent <= now) this.#counters.latency.add(now - sent);
    for (const one of atHub.subscriptions) one.take(event);
  }

  async join(joined: Joined): Promise<boolean> {
    const isNew = await this.#link.ask('join', [joined], { timeout: COMMAND_TIMEOUT });
    this.#joined.set(JSON.stringify(joined), joined);
    return isNew === true;
  }

  /** Those that match; without a member all of a room. */
  async leave(asked: Joined): Promise<boolean> {
    const { room, user, member } = asked;
    const left = [...this.#joined].filter(
      ([, one]) =>
        one.room === room && one.user === user && (member === undefined || one.member === member),
    );
    for (const [key] of left) this.#joined.delete(key);
    for (const [, one] of left) {
      // A connection that is lost meanwhile has left the room.
      await this.#link.ask('leave', [one], { timeout: COMMAND_TIMEOUT }).catch(() => undefined);
    }
    return left.length > 0;
  }

  /** Asks a hub that knows nothing of this client for all that it has. What the hub refuses is told. */
  async restore(): Promise<void> {
    this.refused.clear();
    const limits = { timeout: COMMAND_TIMEOUT };
    const again = [...this.#byKey.values()].filter(({ isConfirmed }) => isConfirmed);
    const asked = again.map(async ({ pattern, by }) => {
      try {
        await this.#link.ask('subscribe', [pattern, by], limits);
      } catch (error) {
        for (const one of [pattern].flat()) this.refused.add(one as string);
        throw error;
      }
    });
    const joined = [...this.#joined.values()].map((one) => this.#link.ask('join', [one], limits));
    for (const result of await Promise.allSettled([...asked, ...joined])) {
      if (result.status === 'rejected' && result.reason instanceof BusError) {
        this.#failed(result.reason);
      }
    }
  }

  close(): void {
    for (const one of this.all) this.#forget(one);
    this.#joined.clear();
  }

  #forget(one: HubSubscription): void {
    one.close();
    this.#byId.delete(one.id);
    const atHub = this.#byKey.get(one.key);
    if (!atHub?.subscriptions.delete(one) || atHub.subscriptions.size > 0) return;
    this.#byKey.delete(one.key);
    if (atHub.isConfirmed) this.#link.tell('unsubscribe', atHub.pattern, atHub.by);
  }
}
