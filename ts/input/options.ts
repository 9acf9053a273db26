/** Objects of options, read before they cross as JSON. */

import { types } from 'node:util';
import { invalidAt } from '../errors';
import { copyPlain } from './json';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** A copy of options; empty for `undefined`. `INVALID_OPTIONS` for those that throw when they are read. */
export function copyOptions(options: unknown): Record<string, unknown> {
  return options === undefined ? {} : copyPlain(options, OPTIONS, 'options');
}

/** A copy of options that have none but these keys; empty for `undefined`. */
export function readOptions(options: unknown, keys: readonly string[]): Record<string, unknown> {
  const copy = copyOptions(options);
  for (const key of Object.keys(copy)) {
    if (!keys.includes(key)) throw invalidAt(OPTIONS, key, 'unknown key');
  }
  return copy;
}

/** What `read` reads of an argument; what that throws is refused: `INVALID_OPTIONS` at `path`. */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw invalidAt(OPTIONS, path, 'cannot be read', cause);
  }
}

/** A Date as ms since 1970, which JSON would make a text of; all else as it is. */
export function readMoment(value: unknown, path: string): unknown {
  if (!types.isDate(value)) return value;
  const ms = Date.prototype.getTime.call(value);
  if (Number.isNaN(ms)) throw invalidAt(OPTIONS, path, 'is not a valid date');
  return ms;
}

/** A place in a stream; a time is given as a Date, as a number may as well be meant as an offset. */
export function readPosition(value: unknown, path: string): unknown {
  if (typeof value === 'number') {
    const message = "expected 'new', 'beginning', a message id or a Date, got a number";
    throw invalidAt(OPTIONS, path, message);
  }
  return readMoment(value, path);
}
