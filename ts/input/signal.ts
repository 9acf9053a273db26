/** AbortSignals among the options of a call. */

import { invalidAt } from '../errors';
import { reading } from './options';

/** Checks that an option is an AbortSignal, of any realm. */
export function checkSignal(value: unknown): asserts value is AbortSignal | undefined {
  if (value === undefined) return;
  const fits = reading('signal', () => {
    const signal = value as Partial<AbortSignal> | null;
    return (
      typeof signal?.aborted === 'boolean' &&
      typeof signal.addEventListener === 'function' &&
      typeof signal.removeEventListener === 'function'
    );
  });
  if (!fits) {
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'signal', 'must be an AbortSignal');
  }
}
