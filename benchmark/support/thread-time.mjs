import { existsSync, readFileSync } from 'node:fs';

/** Of the thread that reads it: ns on the processor, ns that it waited for one, and how often it got one. */
const SCHEDSTAT = '/proc/thread-self/schedstat';
const told = existsSync(SCHEDSTAT);

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Takes this thread from the processor for so many ms, also less than one. */
export const blockThread = (ms) => Atomics.wait(cell, 0, 0, ms);

/**
 * How many ms this thread has been on a processor, of which other threads and processes take nothing away. Where the
 * system does not tell (it is not Linux), the time of the clock.
 */
export function threadTime() {
  if (!told) return performance.now();
  // Linux counts what is running only at its ticks, milliseconds apart, and when it leaves the processor.
  blockThread(0.05);
  return Number.parseInt(readFileSync(SCHEDSTAT, 'latin1'), 10) / 1e6;
}
