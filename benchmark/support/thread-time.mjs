import { existsSync, readFileSync } from 'node:fs';

/** Of the thread that reads it: ns on the processor, ns that it waited for one, and how often it got one. */
const SCHEDSTAT = '/proc/thread-self/schedstat';

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Takes this thread from the processor for so many ms, also less than one. */
export const blockThread = (ms) => Atomics.wait(cell, 0, 0, ms);

/** Whether the system tells the processor time of a thread; only Linux does. */
export const tellsThreadTime = existsSync(SCHEDSTAT);

/**
 * How many ms this thread has been on a processor, of which other threads and processes take nothing away. Where the
 * system does not tell, the time of the clock.
 */
export function threadTime() {
  if (!tellsThreadTime) return performance.now();
  // Linux counts what is running only at its ticks, milliseconds apart, and when it leaves the processor.
  blockThread(0.05);
  return Number.parseInt(readFileSync(SCHEDSTAT, 'latin1'), 10) / 1e6;
}
