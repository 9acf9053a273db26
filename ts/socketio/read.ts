/** The values of options, read one by one. */

import { invalidAt } from '../errors';
import { isPlainObject } from '../input/json';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
/** Socket.IO emits these itself, and throws where a program does. */
const RESERVED = ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener'];
RESERVED.push('removeListener');

export const GIB = 1 << 30;

/** An object without unknown keys. Throws `INVALID_OPTIONS`. */
export function readPart(
  value: unknown,
  path: string,
  keys: readonly string[],
): Record<string, unknown> {
  if (!isPlainObject(value)) throw invalidAt(OPTIONS, path, 'must be an object');
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) throw invalidAt(OPTIONS, `${path}.${key}`, 'unknown key');
  }
  return value;
}

export function readInteger(
  value: unknown,
  path: string,
  least: number,
  most: number,
  standard: number,
): number {
  if (value === undefined) return standard;
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number;
  }
  throw invalidAt(OPTIONS, path, `must be an integer from ${least} to ${most}`);
}

/** The name of a Socket.IO event. */
export function readEventName(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') {
    throw invalidAt(OPTIONS, path, 'must be the name of an event');
  }
  if (RESERVED.includes(value)) {
    throw invalidAt(OPTIONS, path, `Socket.IO keeps '${value}' for itself`);
  }
  return value;
}

export function readFunction(value: unknown, path: string): unknown {
  if (typeof value === 'function') return value;
  throw invalidAt(OPTIONS, path, 'must be a function');
}

/** The default of `onError`. */
export function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}

export function readOnError(value: unknown): (error: unknown) => void {
  return value === undefined ? warn : (readFunction(value, 'onError') as (error: unknown) => void);
}
