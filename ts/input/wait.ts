/** How long a call may take: its `timeout` and its `signal`. */

import { invalidAt } from '../errors';
import { readOptions } from './options';
import { checkSignal } from './signal';

/** The longest time that a timer of Node can hold, in ms. */
const MAX_TIMEOUT = 2 ** 31 - 1;

export interface WaitLimits {
  /** In ms, `Infinity` for no limit; null for the default of the engine. */
  timeout: number | null;
  signal: AbortSignal | undefined;
}

/** Reads the options of a wait for the connection: as {@link readWait}, where 0 and `Infinity` are no limit. */
export function readReadyWait(options: unknown): WaitLimits {
  const { timeout, ...rest } = readOptions(options, ['timeout', 'signal']);
  if (timeout !== 0 && timeout !== Number.POSITIVE_INFINITY) {
    return readWait(options, ['timeout', 'signal']);
  }
  return { ...readWait(rest, ['signal']), timeout: Number.POSITIVE_INFINITY };
}

/** Reads `{ timeout, signal }`, as far as `keys` names them. Throws `INVALID_OPTIONS`, also for other keys. */
export function readWait(options: unknown, keys: readonly string[]): WaitLimits {
  const { timeout, signal } = readOptions(options, keys);
  const fits = typeof timeout === 'number' && timeout >= 0 && timeout <= MAX_TIMEOUT;
  if (timeout !== undefined && !fits) {
    const message = `must be a number of ms from 0 to ${MAX_TIMEOUT}`;
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'timeout', message);
  }
  checkSignal(signal);
  return { timeout: fits ? Math.floor(timeout) : null, signal };
}
