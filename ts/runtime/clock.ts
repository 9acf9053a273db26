/**
 * The clock and the timers of the process, whatever a test has put in the place of the global ones
 * (`jest.useFakeTimers()`, sinon): they stop its own code, and not the bus.
 */

import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

// Taken once: some tools replace those of the module as well.
export const { clearTimeout, setImmediate, setTimeout } = timers;

/** Where it was replaced before this module was loaded, the end of a turn stands for that of a tick. */
export const nextTick: (run: () => void) => void = isFake(process.nextTick)
  ? setImmediate
  : process.nextTick.bind(process);

/** In ms, and only forward. */
export const monotonic: () => number = performance.now.bind(performance);

/** Whether sinon, or jest, which has it within, has made a function. */
function isFake(timer: object): boolean {
  return 'clock' in timer || '_isMockFunction' in timer;
}
