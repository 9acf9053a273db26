/** `events()`: a subscription as an async iterator. */

import type { EventIterator } from '../../index';
import { stackFromCaller, startAsyncStacksAtCaller } from '../caller-stacks';
import { invalidAt } from '../errors';
import { copyOptions } from '../input/options';
import { END, NextWaiters } from '../runtime/next-waiters';
import { processTimers, type Timer } from '../runtime/timers';
import { CallContext } from './handler-context';
import { NOT_HANDLED } from './settlements';
import type { LiveSubscription } from './subscription';

/** An event whose handler call is not settled. */
interface UnsettledEvent<E> {
  event: E;
  context: CallContext;
  accept(): void;
  drop(reason: unknown): void;
}

/** What an iterator needs of its client. */
export interface IteratorOwner {
  /** How long the event in hand waits for `next()` once the iterator has ended, in ms. */
  readonly lastNext: number;
  subscribe(
    pattern: unknown,
    handler: (event: never, context: never) => unknown,
    options: unknown,
  ): Promise<LiveSubscription>;
  unsubscribe(subscription: LiveSubscription): Promise<boolean>;
  forgetIterator(iterator: object): void;
}

/** Options that `events()` does not take: its events never fail, and have no retries, time limits or batches. */
const RESERVED = [
  'timeout',
  'retryOnError',
  'maxRetries',
  'retry',
  'retryIf',
  'circuitBreaker',
  'batch',
] as const;

export class LiveIterator<E> implements EventIterator<E> {
  readonly #owner: IteratorOwner;
  readonly #subscribed: Promise<LiveSubscription>;
  /** At most `concurrency`: the engine hands out no more than that unsettled. */
  readonly #buffer: UnsettledEvent<E>[] = [];
  readonly #waiting = new NextWaiters<E>();
  /** The events that the user has been given; the next `next()` settles them. */
  #inHand: UnsettledEvent<E>[] = [];
  #failure: { error: unknown } | undefined;
  #done = false;
  /** True with a `group`: an event is acknowledged when the next one is asked for, else returned to the group. */
  #durable = false;
  #lastNext: Timer | undefined;

  constructor(owner: IteratorOwner, pattern: unknown, options: object | undefined) {
    this.#owner = owner;
    this.#subscribed = this.#subscribe(pattern, options);
    this.#subscribed.catch((error: unknown) => this.#fail(error));
  }

  ready(): Promise<void> {
    return this.#subscribed.then(() => undefined);
  }

  async next(): Promise<IteratorResult<E, undefined>> {
    this.#acceptInHand();
    try {
      return await this.#take();
    } catch (error) {
      throw stackFromCaller(error, LiveIterator.prototype.next);
    }
  }

  async return(): Promise<IteratorResult<E, undefined>> {
    if (this.#durable) this.#returnInHand();
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
   * Ends the iterator. Buffered events are dropped, or returned to their group. A live event in hand counts as
   * handled. A durable event in hand does so only if its user asks for the next one soon; else it returns to the group.
   */
  end(): void {
    this.#done = true;
    this.#owner.forgetIterator(this);
    if (!this.#durable) this.#acceptInHand();
    else if (this.#inHand.length > 0) {
      // By the real clock: the body of a loop runs in real time, in a test bus too.
      this.#lastNext ??= processTimers.set(() => this.#returnInHand(), this.#owner.lastNext);
    }
    for (const one of this.#buffer.splice(0)) one.drop(NOT_HANDLED);
    this.#waiting.end();
  }

  async #subscribe(pattern: unknown, options: object | undefined): Promise<LiveSubscription> {
    const given = copyOptions(options);
    for (const key of RESERVED) {
      if (key in given) {
        throw invalidAt('ERR_BUS_INVALID_OPTIONS', key, 'is not an option of events()');
      }
    }
    const own = { ...given, timeout: 0, retryOnError: false };
    this.#durable = given.group !== undefined;
    const subscription = await this.#owner.subscribe(pattern, this.#handle, own);
    subscription.isIterator = true;
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
      const one = { event, context, accept, drop };
      if (this.#done) drop(NOT_HANDLED);
      else if (this.#waiting.give(event)) this.#inHand.push(one);
      else this.#buffer.push(one);
    });

  #take(): Promise<IteratorResult<E, undefined>> | IteratorResult<E, undefined> {
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      throw failure.error;
    }
    let one = this.#buffer.shift();
    // The claim of an aborted event is lost: another consumer handles it.
    while (one !== undefined && CallContext.isAborted(one.context)) {
      one.drop(NOT_HANDLED);
      one = this.#buffer.shift();
    }
    if (one !== undefined) {
      this.#inHand.push(one);
      return { done: false, value: one.event };
    }
    if (this.#done) return END;
    return this.#waiting.wait();
  }

  #returnInHand(): void {
    processTimers.clear(this.#lastNext);
    for (const one of this.#inHand.splice(0)) one.drop(NOT_HANDLED);
  }

  #acceptInHand(): void {
    processTimers.clear(this.#lastNext);
    const inHand = this.#inHand;
    if (inHand.length === 0) return;
    this.#inHand = [];
    for (const one of inHand) one.accept();
  }

  #fail(error: unknown): void {
    if (!this.#waiting.fail(error) && !this.#done) this.#failure = { error };
    this.end();
  }
}

// `next` does the same by hand, as it is called for each event.
startAsyncStacksAtCaller(LiveIterator, ['ready']);
