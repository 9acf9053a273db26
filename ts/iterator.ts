/** `events()`: a subscription as an async iterator. */

import type { EventIterator } from '../index';
import { DROPPED } from './dispatcher';
import { invalidAt, traced } from './errors';
import { isPlainObject } from './json';
import type { LiveSubscription } from './subscription';

/** An event whose handler call is not settled. */
interface Taken<E> {
  event: E;
  accept(): void;
  drop(reason: unknown): void;
}

interface Waiter<E> {
  resolve(result: IteratorResult<E, undefined>): void;
  reject(error: unknown): void;
}

/** What an iterator asks of its client. */
export interface IteratorOwner {
  subscribe(
    pattern: unknown,
    handler: (event: never) => unknown,
    options: unknown,
  ): Promise<LiveSubscription>;
  unsubscribe(subscription: LiveSubscription): Promise<boolean>;
  forgetIterator(iterator: object): void;
}

/** Options that an iterator sets itself: its events are not failed, retried or timed. */
const OWN = [
  'timeout',
  'retryOnError',
  'maxRetries',
  'retry',
  'retryIf',
  'circuitBreaker',
] as const;

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

  /** Ends it: what is in hand counts as handled, what waits in the buffer as dropped. */
  end(): void {
    this.#done = true;
    this.#owner.forgetIterator(this);
    this.#acceptInHand();
    for (const taken of this.#buffer.splice(0)) taken.drop(DROPPED);
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(END);
  }

  async #subscribe(pattern: unknown, options: object | undefined): Promise<LiveSubscription> {
    if (options !== undefined && !isPlainObject(options)) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', '', 'the options must be a plain object');
    }
    for (const key of OWN) {
      if (options !== undefined && key in options) {
        throw invalidAt('ERR_BUS_INVALID_OPTIONS', key, 'is not an option of events()');
      }
    }
    const own = { ...options, timeout: 0, retryOnError: false };
    const subscription = await this.#owner.subscribe(pattern, this.#handle, own);
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

  readonly #handle = (event: E): Promise<void> =>
    new Promise((accept, drop) => {
      const taken = { event, accept, drop };
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
    const taken = this.#buffer.shift();
    if (taken !== undefined) {
      this.#inHand.push(taken);
      return { done: false, value: taken.event };
    }
    if (this.#done) return END;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #acceptInHand(): void {
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
