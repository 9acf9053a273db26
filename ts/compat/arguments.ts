/** Arguments of the adapters. */

import { invalidAt } from '../errors';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** Throws `INVALID_OPTIONS` for what cannot be called. */
export function checkFunction(value: unknown, path: string): void {
  if (typeof value !== 'function') throw invalidAt(OPTIONS, path, 'must be a function');
}

/** Throws `INVALID_OPTIONS` for what is not an instance of the class. */
export function checkInstance(
  value: unknown,
  kind: abstract new (...args: never[]) => unknown,
  path: string,
): void {
  if (!(value instanceof kind)) throw invalidAt(OPTIONS, path, `must be a ${kind.name}`);
}

/** `given`, and the defaults of what is missing or undefined in it. */
export function withDefaults<T extends object, G extends object>(defaults: T, given: G): T & G {
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(known) } as T & G;
}
