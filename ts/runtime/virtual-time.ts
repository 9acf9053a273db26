/** The clock of a test bus, with the timers and the clients that go by it. */

import { callOutside } from '../handle/current-event';
import { type NativeBroker, native } from '../native/native';
import { setImmediate, setTimeout } from './clock';
import type { Timer, Timers } from './timers';

/** After so many turns of the event loop in which nothing happened, nothing more will happen by itself. */
const QUIET_TURNS = 3;

class VirtualTimer implements Timer {
  readonly due: number;
  readonly run: () => void;

  constructor(due: number, run: () => void) {
    this.due = due;
    this.run = run;
  }

  unref(): void {}
}

/** Timers that fire when the clock of a broker is moved. */
class VirtualTimers implements Timers {
  readonly #broker: NativeBroker;
  /** The timers in the order in which they were set. */
  readonly #waiting = new Set<VirtualTimer>();

  constructor(broker: NativeBroker) {
    this.#broker = broker;
  }

  now(): number {
    return this.#broker.now();
  }

  set(run: () => void, delay: number): Timer {
    const timer = new VirtualTimer(this.now() + Math.max(0, delay), run);
    this.#waiting.add(timer);
    return timer;
  }

  clear(timer: Timer | undefined): void {
    if (timer !== undefined) this.#waiting.delete(timer as VirtualTimer);
  }

  /** The timer that is due first. */
  get first(): VirtualTimer | undefined {
    let first: VirtualTimer | undefined;
    for (const timer of this.#waiting) {
      if (first === undefined || timer.due < first.due) first = timer;
    }
    return first;
  }

  /** Runs the timers that are due by now, in order. */
  runDue(): void {
    for (let timer = this.first; timer !== undefined; timer = this.first) {
      if (timer.due > this.now()) return;
      this.#waiting.delete(timer);
      timer.run();
    }
  }
}

/** A client that lives in virtual time. */
export interface VirtualClient {
  /** Takes everything that the engine has ready; false when there was nothing. */
  drain(): boolean;
  /** Whether the engine has nothing to do now; with `handlers`, whether no handler runs either. */
  isIdle(handlers: boolean): boolean;
  readonly state: string;
}

/** A broker with its clock, and the clients that live by it. */
export class VirtualTime {
  readonly broker = new native.NativeBroker(true);
  readonly timers = new VirtualTimers(this.broker);
  readonly #clients = new Set<VirtualClient>();
  #moved: Promise<void> = Promise.resolve();

  register(client: VirtualClient): void {
    this.#clients.add(client);
  }

  /** Moves the clock by so many ms, after every move that was asked for before. */
  advance(ms: number): Promise<void> {
    const moved = this.#moved.then(() => this.#advance(ms));
    this.#moved = moved.catch(() => {});
    return moved;
  }

  /** Resolves when nothing more happens at this virtual time; with `handlers`, when no handler runs either. */
  async rest(handlers: boolean): Promise<void> {
    for (let [quiet, waits] = [0, false]; quiet < QUIET_TURNS; ) {
      // A handler that waits for something real needs the processor, so the loop sleeps meanwhile.
      if (waits) await new Promise<void>((resolve) => setTimeout(resolve, 1));
      else await new Promise<void>((resolve) => setImmediate(resolve));
      let [busy, running] = [false, false];
      for (const client of this.#clients) {
        if (client.state === 'closed') this.#clients.delete(client);
        else if (client.drain() || !client.isIdle(false)) busy = true;
        else if (handlers && !client.isIdle(true)) running = true;
      }
      waits = running && !busy;
      quiet = busy || running ? 0 : quiet + 1;
    }
  }

  async #advance(ms: number): Promise<void> {
    const target = this.broker.now() + ms;
    for (;;) {
      await this.rest(false);
      const now = this.broker.now();
      const due = this.#nextDue();
      if (due > target && now >= target) return;
      this.broker.advance(Math.min(Math.max(due, now), target));
      callOutside(() => this.timers.runDue());
    }
  }

  #nextDue(): number {
    const never = Number.POSITIVE_INFINITY;
    return Math.min(this.broker.nextDue() ?? never, this.timers.first?.due ?? never);
  }
}
