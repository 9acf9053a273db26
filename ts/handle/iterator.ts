/** `events()`: a subscription as an async iterator. */

import type { EventIterator } from '../../index';
import type { Timer, Timers } from '../client/environment';
import { invalidAt, traced } from '../errors';
import { copyOptions } from '../input/options';
import { CallContext } from './call';
import { DROPPED } from './dispatcher';
import type { LiveSubscription } from './subscription';

/** An event whose handler call is not settled. */
interface Taken<E> {
  event: E;
  context: CallContext;
  accept(): void;
  drop(reason: unknown): void;
}

interface Waiter<E> {
  resolve(result: IteratorResult<E, undefined>): void;
  reject(error: unknown): void;
}

/** What an iterator asks of its client. */
export interface IteratorOwner {
  readonly timers: Timers;
  subscribe(
    pattern: unknown,
    handler: (event: never, context: never) => unknown,
    options: unknown,
  ): Promise<LiveSubscription>;
  unsubscribe(subscription: LiveSubscription): Promise<boolean>;
  forgetIterator(iterator: object): void;
}

/** Options that an iterator sets itself: its events are not failed, retried, timed or gathered. */
const OWN = [
  'timeout',
  'retryOnError',
  'maxRetries',
  'retry',
  'retryIf',
  'circuitBreaker',
  'batch',
] as const;

/**
 * How long a stored event in hand waits for `next()` once the iterator has ended, in ms. The loop that has
 * it may be at work; but nothing says that there is a loop.
 */
const LAST_NEXT = 1000;

const END: IteratorResult<never, undefined> = { done: true, value: undefined };

export class LiveIterator<E> implements EventIterator<E> {
  readonly #owner: IteratorOwner;
  readonly #subscribed: Promise<LiveSubscription>;
  /** At most `concurrency`: the engine hands out no more than that unsettled. */
  readonly #buffer: Taken<E>[] = [];
  readonly #waiting: Waiter<E>[] = [];
  /** Handed to the user, settled by the next `next()`. */
  #inHand: Taken<E>[] = [];
  #failure: { error: unknown } | undefined;
  #done = false;
  /** Whether what was not asked beyond is handed back. */
  #durable = false;
  #lastNext: Timer | undefined;

  constructor(owner: IteratorOwner, pattern: unknown, options: object | undefined) {
    this.#owner = owner;
    this.#subscribed = this.#subscribe(pattern, options);
    this.#subscribed.catch((error: unknown) => this.#fail(error));
  }

  async ready(): Promise<void> {
    try {
      await this.#subscribed;
    } catch (error) {
      throw traced(error, LiveIterator.prototype.ready);
    }
  }

  async next(): Promise<IteratorResult<E, undefined>> {
    this.#acceptInHand();
    try {
      return await this.#take();
    } catch (error) {
      throw traced(error, LiveIterator.prototype.next);
    }
  }

  async return(): Promise<IteratorResult<E, undefined>> {
    if (this.#durable) this.#dropInHand();
    this.end();
    const subscription = await this.#subscribed.catch(() => undefined);
    if (subscription !== undefined) await this.#owner.unsubscribe(subscription);
    return END;
  }

  async throw(error?: unknown): Promise<IteratorResult<E, undefined>> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Ends it: what waits in the buffer is dropped, or handed back. What is in hand counts as handled; a
   * durable event only does when its user asks for the next one soon, and is handed back otherwise.
   */
  end(): void {
    this.#done = true;
    this.#owner.forgetIterator(this);
    if (!this.#durable) this.#acceptInHand();
    else if (this.#inHand.length > 0) {
      this.#lastNext ??= this.#owner.timers.set(() => this.#dropInHand(), LAST_NEXT);
    }
    for (const taken of this.#buffer.splice(0)) taken.drop(DROPPED);
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(END);
  }

  async #subscribe(pattern: unknown, options: object | undefined): Promise<LiveSubscription> {
    const given = copyOptions(options);
    for (const key of OWN) {
      if (key in given) {
        throw invalidAt('ERR_BUS_INVALID_OPTIONS', key, 'is not an option of events()');
      }
    }
    const own = { ...given, timeout: 0, retryOnError: false };
    this.#durable = given.group !== undefined;
    const subscription = await this.#owner.subscribe(pattern, this.#handle, own);
    subscription.pulled = true;
    if (subscription.state === 'closed') this.end();
    else {
      const onClose = subscription.onClose;
      subscription.onClose = () => {
        onClose?.();
        this.end();
      };
    }
    return subscription;
  }

  readonly #handle = (event: E, context: CallContext): Promise<void> =>
    new Promise((accept, drop) => {
      const taken = { event, context, accept, drop };
      const waiter = this.#waiting.shift();
      if (this.#done) drop(DROPPED);
      else if (waiter === undefined) this.#buffer.push(taken);
      else {
        this.#inHand.push(taken);
        waiter.resolve({ done: false, value: event });
      }
    });

  #take(): Promise<IteratorResult<E, undefined>> | IteratorResult<E, undefined> {
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      throw failure.error;
    }
    let taken = this.#buffer.shift();
    // Another consumer has it by now.
    while (taken !== undefined && CallContext.isAborted(taken.context)) {
      taken.drop(DROPPED);
      taken = this.#buffer.shift();
    }
    if (taken !== undefined) {
      this.#inHand.push(taken);
      return { done: false, value: taken.event };
    }
    if (this.#done) return END;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #dropInHand(): void {
    this.#owner.timers.clear(this.#lastNext);
    for (const taken of this.#inHand.splice(0)) taken.drop(DROPPED);
  }

  #acceptInHand(): void {
    this.#owner.timers.clear(this.#lastNext);
    const inHand = this.#inHand;
    if (inHand.length === 0) return;
    this.#inHand = [];
    for (const taken of inHand) taken.accept();
  }

  #fail(error: unknown): void {
    const first = this.#waiting.shift();
    if (first !== undefined) first.reject(error);
    else if (!this.#done) this.#failure = { error };
    this.end();
  }
}
