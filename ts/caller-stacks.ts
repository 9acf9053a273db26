/** Errors whose stacks start at the line where the user has called the bus. */

import { EventBusError } from './errors';

/** The names of the methods of `T` that fit `Method`. */
type NamesOf<T, Method> = {
  [K in keyof T]: T[K] extends Method ? K : never;
}[keyof T] &
  string;
type AnyMethod = (...args: never[]) => unknown;
type AsyncMethod = (...args: never[]) => Promise<unknown>;
type Called = (this: unknown, ...args: unknown[]) => unknown;

const FRAME = '\n    at ';

/**
 * Gives a bus error a stack that starts at the caller of `method`, and returns the error. V8 knows the awaiting
 * callers of `method` only while `method` itself runs, so only `method`, or what it has called, may call this.
 */
// biome-ignore lint/complexity/noBannedTypes: any function is a mark for captureStackTrace
export function stackFromCaller(error: unknown, method: Function): unknown {
  if (!(error instanceof EventBusError)) return error;
  Error.captureStackTrace(error, method);
  // Between two timers Node runs what has become ready, below frames of its own.
  const [head = '', ...frames] = (error.stack ?? '').split(FRAME);
  const first = frames.findIndex((frame) => !frame.includes('node:internal/'));
  if (first > 0) error.stack = [head, ...frames.slice(first)].join(FRAME);
  return error;
}

/**
 * Replaces these methods of a class by async ones that give the errors of the originals the stack of their caller. An
 * original must be a plain function that returns a promise: whatever it throws at once then gets its stack at once,
 * while the caller is still on the stack, and only a rejection depends on a caller that awaits it.
 */
export function startAsyncStacksAtCaller<T>(
  type: { prototype: T },
  names: readonly NamesOf<T, AsyncMethod>[],
): void {
  replace(type, names, (method) => {
    if (Object.prototype.toString.call(method) === '[object AsyncFunction]') {
      throw new TypeError(`${method.name} must not be an async function`);
    }
    return async function wrapped(this: unknown, ...args) {
      try {
        return await method.apply(this, args);
      } catch (error) {
        throw stackFromCaller(error, wrapped);
      }
    };
  });
}

/** The same for methods that return their results at once. */
export function startStacksAtCaller<T>(
  type: { prototype: T },
  names: readonly NamesOf<T, AnyMethod>[],
): void {
  replace(type, names, (method) => {
    return function wrapped(this: unknown, ...args) {
      try {
        return method.apply(this, args);
      } catch (error) {
        throw stackFromCaller(error, wrapped);
      }
    };
  });
}

function replace<T>(
  { prototype }: { prototype: T },
  names: readonly (keyof T & string)[],
  wrap: (method: Called) => Called,
): void {
  for (const name of names) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
    const method: Called | undefined = descriptor?.value;
    if (method === undefined) throw new TypeError(`${name} is not a method of this class`);
    const replacement = wrap(method);
    for (const property of ['name', 'length'] as const) {
      Object.defineProperty(replacement, property, { value: method[property], configurable: true });
    }
    Object.defineProperty(prototype, name, { ...descriptor, value: replacement });
  }
}
