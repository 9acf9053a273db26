/**
 * The clock and the timers of the process, as they were when this module was loaded: a test that
 * replaces the global ones (`jest.useFakeTimers()`, sinon) does not stop the bus.
 */

import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

/** The process itself: a test environment may give its own in the place of the global one. */
const real = process.getBuiltinModule?.('node:process') ?? process;

export const { clearTimeout, setImmediate, setTimeout } = timers;

export const nextTick: (run: () => void) => void = real.nextTick.bind(real);

/** In ms, and only forward. */
export const monotonic: () => number = performance.now.bind(performance);
