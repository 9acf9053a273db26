/** Objects of options, read before they cross as JSON. */

import { types } from 'node:util';
import { invalidAt } from '../errors';
import { native } from '../native/native';
import { copyPlain } from './json';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** A copy of options; empty for `undefined`. Throws `INVALID_OPTIONS` for anything but a plain object that can be read. */
export function copyOptions(options: unknown): Record<string, unknown> {
  return options === undefined ? {} : copyPlain(options, OPTIONS, 'options');
}

/** The same; throws `INVALID_OPTIONS` also for a key that is not among `keys`. */
export function readOptions(options: unknown, keys: readonly string[]): Record<string, unknown> {
  const copy = copyOptions(options);
  refuseUnknown(copy, 'options', keys);
  return copy;
}

/** Throws for a key that is not among `keys`: `INVALID_OPTIONS`, or of a flat event `INVALID_EVENT`. */
export function refuseUnknown(
  given: Record<string, unknown>,
  what: 'options' | 'event',
  keys: readonly string[],
): void {
  for (const key of Object.keys(given)) {
    if (keys.includes(key)) continue;
    const code = what === 'options' ? OPTIONS : 'ERR_BUS_INVALID_EVENT';
    throw invalidAt(code, key, native.unknownKey(what, key, [...keys]));
  }
}

/**
 * Refuses a key that is given as `undefined`, as a variable that was never set: without it the call would mean far more
 * than was meant. Throws `INVALID_OPTIONS`.
 */
export function refuseUndefined(
  options: Record<string, unknown>,
  key: string,
  instead: string,
): void {
  if (key in options && options[key] === undefined) {
    throw invalidAt(OPTIONS, key, `is undefined: leave it out ${instead}`);
  }
}

/** The result of `read`, which reads from an argument of the user. Throws `INVALID_OPTIONS` at `path` when it throws. */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw invalidAt(OPTIONS, path, 'cannot be read', cause);
  }
}

/** A Date as ms since 1970, because JSON would turn it into a text; any other value as it is. */
export function readMoment(value: unknown, path: string): unknown {
  if (!types.isDate(value)) return value;
  const ms = Date.prototype.getTime.call(value);
  if (Number.isNaN(ms)) throw invalidAt(OPTIONS, path, 'is not a valid date');
  return ms;
}

/** A position in a stream. A time has to be a Date: a number could as well be meant as an offset, so it is refused. */
export function readPosition(value: unknown, path: string): unknown {
  if (typeof value === 'number') {
    const message = "expected 'new', 'beginning', a message id or a Date, got a number";
    throw invalidAt(OPTIONS, path, message);
  }
  return readMoment(value, path);
}

/** A name among the arguments of a call. Throws `INVALID_OPTIONS`. */
export function readName(value: unknown, path: string): string {
  if (typeof value !== 'string')
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', path, 'must be a string');
  return value;
}
