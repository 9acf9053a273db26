/**
 * The time limits of handlers: one timer per client. The calls of a subscription share a timeout, so
 * each subscription's calls, in the order they began, are already in the order in which they end.
 */

import type { Timer, Timers } from '../runtime/timers';
import type { Call } from './call';
import type { LiveSubscription } from './subscription';

type RunningCall = Call<LiveSubscription>;

export class HandlerTimer {
  readonly #timers: Timers;
  readonly #expire: (call: RunningCall) => void;
  readonly #subscriptions = new Set<LiveSubscription>();
  #timer: Timer | undefined;
  /** When the timer fires. It is compared for every call, so it is a number that is always there. */
  #armedFor = Number.POSITIVE_INFINITY;

  constructor(timers: Timers, expire: (call: RunningCall) => void) {
    this.#timers = timers;
    this.#expire = expire;
  }

  watch(subscription: LiveSubscription): void {
    this.#subscriptions.add(subscription);
  }

  unwatch(subscription: LiveSubscription): void {
    this.#subscriptions.delete(subscription);
  }

  /** Told that a call began; it is the last of its subscription. */
  started(call: RunningCall): void {
    const { timeout } = call.subscription;
    if (timeout > 0 && call.startedAt + timeout < this.#armedFor) {
      this.#arm(call.startedAt + timeout, this.#timers.now());
    }
  }

  /** The calls that run and have time left. */
  *running(): Generator<RunningCall> {
    for (const subscription of this.#subscriptions) {
      for (let call = subscription.head; call !== undefined; call = call.next) yield call;
    }
  }

  /** Stops watching; returns the calls that still run. */
  stop(): RunningCall[] {
    this.#timers.clear(this.#timer);
    const running = [...this.running()];
    this.#subscriptions.clear();
    return running;
  }

  #arm(at: number, now: number): void {
    this.#timers.clear(this.#timer);
    this.#armedFor = at;
    // The timer is unref'd, as the subscription keeps the process alive and not the limit of its handlers. It is set
    // within a drain, outside of the handlers, as it serves every subscription.
    const delay = Math.max(1, Math.ceil(at - now));
    const timer = this.#timers.set(this.#fire, delay);
    timer.unref();
    this.#timer = timer;
  }

  readonly #fire = (): void => {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#timers.now();
    let next = Number.POSITIVE_INFINITY;
    for (const subscription of [...this.#subscriptions]) {
      const { timeout } = subscription;
      if (timeout === 0) continue;
      let call = subscription.head;
      while (call !== undefined && call.startedAt + timeout <= now) {
        this.#expire(call);
        call = subscription.head;
      }
      if (call !== undefined) next = Math.min(next, call.startedAt + timeout);
    }
    if (next < this.#armedFor) this.#arm(next, now);
  };
}
