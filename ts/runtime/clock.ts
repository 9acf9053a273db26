/**
 * The real clock and timers of the process. A test may replace the global ones
 * (`jest.useFakeTimers()`, sinon): that stops the code under test, and not the bus.
 */

import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

// Read once, when this module is loaded: some tools replace the functions of the module as well.
export const { clearTimeout, setImmediate, setTimeout } = timers;

/** If `nextTick` was replaced before this module was loaded, the end of a turn stands in for the end of a tick. */
export const nextTick: (run: () => void) => void = isFake(process.nextTick)
  ? setImmediate
  : process.nextTick.bind(process);

/** A clock in ms that only goes forward. */
export const monotonic: () => number = performance.now.bind(performance);

/** Whether sinon, or jest, which contains sinon, has made a function. */
function isFake(timer: object): boolean {
  return 'clock' in timer || '_isMockFunction' in timer;
}
