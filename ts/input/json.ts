/** Values of the user as JSON text. Whatever JSON would silently lose is refused. */

import type { ErrorCode } from '../../index';
import { describe, EventBusError, invalidAt } from '../errors';

/**
 * Whether a value is an object made by `{}` or `Object.create(null)`, of any realm. A proxy may make this
 * throw.
 */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A copy of a plain object. Throws `code` for any other value, and for an object that throws when it is read. */
export function copyPlain(value: unknown, code: ErrorCode, what: string): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  try {
    if (isPlainObject(value)) copy = { ...value };
  } catch (cause) {
    throw invalidAt(code, '', `the ${what} cannot be read`, cause);
  }
  if (copy === undefined) throw invalidAt(code, '', `the ${what} must be a plain object`);
  return copy;
}

/**
 * The JSON text of a plain object, without the keys in `omit` and without those that are undefined.
 * Functions, symbols, BigInts, cycles and objects that are not plain (nor have `toJSON`) are refused
 * with `code` at their path.
 */
export function jsonOf(
  value: unknown,
  code: ErrorCode,
  what: string,
  omit?: readonly string[],
): string {
  const checked = copyPlain(value, code, what);
  for (const key of omit ?? []) delete checked[key];
  try {
    check(checked, '', [], code);
    return JSON.stringify(checked);
  } catch (error) {
    if (error instanceof EventBusError && error.code === code) throw error;
    throw invalidAt(code, '', `the ${what} cannot be written as JSON`, error);
  }
}

function check(value: unknown, path: string, parents: object[], code: ErrorCode): void {
  switch (typeof value) {
    case 'function':
    case 'symbol':
    case 'bigint':
      throw invalidAt(code, path, `a ${typeof value} is not allowed here`);
    case 'object':
      break;
    default:
      return;
  }
  if (value === null || typeof (value as { toJSON?: unknown }).toJSON === 'function') return;
  if (parents.includes(value)) throw invalidAt(code, path, 'refers to itself');
  if (!Array.isArray(value) && !isPlainObject(value)) {
    throw invalidAt(code, path, 'must be a plain object');
  }
  parents.push(value);
  for (const [key, member] of Object.entries(value)) {
    const at = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`;
    check(member, path === '' ? key : at, parents, code);
  }
  parents.pop();
}

/** The JSON text of an event's data. Throws `INVALID_DATA`, with why and where, for a value that JSON cannot hold. */
export function jsonOfData(data: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    const { path, why } = unwritable(data, cause);
    throw invalidAt('ERR_BUS_INVALID_DATA', path, `cannot be written as JSON: ${why}`, cause);
  }
  if (text === undefined) {
    const cause = new TypeError(`${typeof data} is not a JSON value`);
    throw invalidAt('ERR_BUS_INVALID_DATA', 'data', cause.message, cause);
  }
  return text;
}

/** Where JSON.stringify has failed, and why: looked for only then. */
function unwritable(data: unknown, cause: unknown): { path: string; why: string } {
  try {
    return findUnwritable(data, 'data', '', []) ?? { path: 'data', why: describe(cause) };
  } catch {
    // A getter or a proxy that throws, or data that is too deep.
    return { path: 'data', why: describe(cause) };
  }
}

function findUnwritable(
  given: unknown,
  path: string,
  key: string,
  parents: readonly object[],
): { path: string; why: string } | undefined {
  let value = given;
  const toJSON = (value as { toJSON?: unknown } | null | undefined)?.toJSON;
  if (typeof toJSON === 'function') {
    try {
      value = toJSON.call(value, key);
    } catch (thrown) {
      return { path, why: `its toJSON() throws: ${describe(thrown)}` };
    }
  }
  if (typeof value === 'bigint') return { path, why: 'a BigInt is not a JSON value' };
  if (typeof value !== 'object' || value === null) return undefined;
  if (parents.includes(value)) return { path, why: 'it refers to itself' };
  const within = [...parents, value];
  for (const name of Object.keys(value)) {
    const at = Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`;
    const found = findUnwritable((value as Record<string, unknown>)[name], at, name, within);
    if (found !== undefined) return found;
  }
  return undefined;
}
