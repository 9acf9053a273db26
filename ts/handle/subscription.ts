/** A live subscription, as the dispatcher sees it and as its user does. */

import type { BusEvent, EventHandler, SubscribeOptions, Subscription } from '../../index';
import { invalidAt, NonRetryableError, traced, ValidationError } from '../errors';
import { readOptions } from '../input/options';
import type { Handled, RunInfo, Subscribed } from '../native/native';
import { ignoreRejection } from '../runtime/promises';
import type { Call } from './call';
import { handledEvent } from './current-event';

/** An event, or a batch, that waits in JavaScript for its paused subscription. */
export interface HeldEvent {
  event: Handled;
  info: RunInfo | 0;
  messageId: string | readonly string[];
  token: number;
}

/** Shared, as most subscriptions never hold an event. */
const NOTHING_HELD: readonly HeldEvent[] = Object.freeze([]);

/** What a subscription asks of its client. */
export interface SubscriptionOwner {
  pause(subscription: LiveSubscription, paused: boolean): void;
  /** Ends it in the engine; false when it was gone. */
  unsubscribe(subscription: LiveSubscription): Promise<boolean>;
}

/** The state behind a subscription, durable or not. */
export class LiveSubscription {
  readonly sub: number;
  readonly pattern: string | readonly string[];
  /** Of a durable one. */
  readonly group: string | undefined;
  readonly handler: EventHandler<BusEvent>;
  readonly timeout: number;
  readonly retryIf: SubscribeOptions['retryIf'];
  state: 'pending' | 'active' | 'paused' | 'closed' = 'pending';
  /** Running calls, the one that began first at the head: the next whose time is over. */
  head: Call | undefined;
  tail: Call | undefined;
  /** Events that came while it was paused; never more than `concurrency`, as their slots are taken. */
  held: readonly HeldEvent[] = NOTHING_HELD;
  /** Whether its events wait for someone who asks for them: they are no running handlers. */
  pulled = false;
  /** Run once, when it closes. */
  onClose: (() => void) | undefined;
  readonly #client: string;
  readonly #retries: number;

  constructor(
    client: string,
    subscribed: Subscribed,
    pattern: string | readonly string[],
    handler: EventHandler<BusEvent>,
    retryIf: SubscribeOptions['retryIf'],
  ) {
    this.#client = client;
    this.sub = subscribed.sub;
    this.pattern = pattern;
    this.group = subscribed.group ?? undefined;
    this.handler = handler;
    this.timeout = subscribed.timeout;
    this.retryIf = retryIf;
    this.#retries = subscribed.retryOnError ? subscribed.maxRetries : 0;
  }

  /** Put together when asked for: of many subscriptions few are. */
  get id(): string {
    return `${this.#client}:${this.sub}`;
  }

  patternAt(index: number): string {
    return typeof this.pattern === 'string' ? this.pattern : (this.pattern[index] as string);
  }

  /** Keeps an event until it may be handled. */
  hold(event: HeldEvent): void {
    if (this.held === NOTHING_HELD) this.held = [event];
    else (this.held as HeldEvent[]).push(event);
  }

  /** Takes what was kept. */
  release(): readonly HeldEvent[] {
    const held = this.held;
    this.held = NOTHING_HELD;
    return held;
  }

  /** Whether a failure may be tried again, as far as the error decides. A throwing `retryIf` does not. */
  retryable(error: unknown): boolean {
    if (this.retryIf !== undefined) {
      try {
        const answer: unknown = this.retryIf(error);
        if (!(answer instanceof Promise)) return Boolean(answer);
        ignoreRejection(answer);
      } catch {
        // As with a promise, which is no answer: the rule that holds without `retryIf`.
      }
    }
    return !(error instanceof NonRetryableError) && !(error instanceof ValidationError);
  }

  /** Whether there is an attempt after this one. */
  hasAttemptAfter(attempt: number): boolean {
    return attempt <= this.#retries;
  }

  /** No call starts from here on. */
  close(): void {
    this.state = 'closed';
    const onClose = this.onClose;
    this.onClose = undefined;
    onClose?.();
  }

  append(call: Call): void {
    call.previous = this.tail;
    if (this.tail === undefined) this.head = call;
    else this.tail.next = call;
    this.tail = call;
  }

  remove(call: Call): void {
    if (call.previous === undefined) this.head = call.next;
    else call.previous.next = call.next;
    if (call.next === undefined) this.tail = call.previous;
    else call.next.previous = call.previous;
    call.previous = undefined;
    call.next = undefined;
  }

  /**
   * Resolves when the calls that run now have ended, but for the one this is called from and those that
   * wait here as well: two that wait for each other would wait for ever.
   */
  async idle(): Promise<void> {
    const own = handledEvent();
    let caller: Call | undefined;
    const running: Promise<void>[] = [];
    for (let call = this.head; call !== undefined; call = call.next) {
      if (call.event === own) caller = call;
      else if (!call.waits) running.push(call.ended());
    }
    if (caller !== undefined) caller.waits = true;
    await Promise.all(running);
    if (caller !== undefined) caller.waits = false;
  }
}

/** The handle that `subscribe` gives to its user. */
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

  async unsubscribe(options?: { wait?: boolean }): Promise<boolean> {
    try {
      // Taken now: after the first await the calling handler may have ended.
      const idle = readWait(options) ? this.#live.idle() : undefined;
      const found = await this.#owner.unsubscribe(this.#live);
      await idle;
      return found;
    } catch (error) {
      throw traced(error, SubscriptionHandle.prototype.unsubscribe);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unsubscribe();
  }

  #setPaused(paused: boolean): void {
    const from = paused ? 'active' : 'paused';
    if (this.#live.state !== from) return;
    this.#live.state = paused ? 'paused' : 'active';
    this.#owner.pause(this.#live, paused);
  }
}

/** Reads `{ wait }`. */
function readWait(options: unknown): boolean {
  const code = 'ERR_BUS_INVALID_OPTIONS';
  const { wait } = readOptions(options, ['wait']);
  if (wait !== undefined && typeof wait !== 'boolean') {
    throw invalidAt(code, 'wait', 'must be true or false');
  }
  return wait === true;
}
