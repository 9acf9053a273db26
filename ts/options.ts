/** Objects of options, read before they cross as JSON. */

import { types } from 'node:util';
import { invalidAt } from './errors';
import { isPlainObject } from './json';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** A copy of options that have none but these keys; empty for `undefined`. */
export function readOptions(options: unknown, keys: readonly string[]): Record<string, unknown> {
  if (options === undefined) return {};
  if (!isPlainObject(options)) throw invalidAt(OPTIONS, '', 'the options must be a plain object');
  for (const key of Object.keys(options)) {
    if (!keys.includes(key)) throw invalidAt(OPTIONS, key, 'unknown key');
  }
  return { ...options };
}

/** A Date as ms since 1970, which JSON would make a text of; all else as it is. */
export function readMoment(value: unknown, path: string): unknown {
  if (!types.isDate(value)) return value;
  const ms = value.getTime();
  if (Number.isNaN(ms)) throw invalidAt(OPTIONS, path, 'is not a valid date');
  return ms;
}
