/** The clock and the timers that a client goes by: those of the process, or virtual ones in tests. */

import { clearTimeout, monotonic, setTimeout } from './clock';

/** A timer that was set. */
export interface Timer {
  /** From here on the timer does not keep the process alive. */
  unref(): unknown;
}

/** A clock that only goes forward, in ms, and timers that go by it. */
export interface Timers {
  now(): number;
  set(run: () => void, delay: number): Timer;
  clear(timer: Timer | undefined): void;
}

export const processTimers: Timers = {
  now: monotonic,
  set: (run, delay) => setTimeout(run, delay),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};
