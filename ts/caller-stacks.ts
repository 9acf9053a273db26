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

/** Where the user has made a call. The runtime writes the text when it is read: nobody reads that of most calls. */
export interface CallTrace {
  stack?: string;
  /** So many frames at the top are of the bus. */
  own: number;
}

/**
 * Where the user has made a call that is under way: `own` functions of the bus are above the line, the one that calls
 * this included. It is known to the runtime only until the first `await`. The frames are counted, as Bun does not find an
 * async function that was renamed.
 */
export function traceCall(own: number): CallTrace {
  const call: CallTrace = { own };
  Error.captureStackTrace(call, traceCall);
  return call;
}

/** The line of the call alone, which takes half the time. */
export function traceLine(own: number): CallTrace {
  const call: CallTrace = { own };
  const limit = Error.stackTraceLimit;
  // Where somebody has frozen `Error` this changes nothing, and the trace is a whole one.
  Reflect.set(Error, 'stackTraceLimit', Math.min(limit, own + 2));
  Error.captureStackTrace(call, traceLine);
  Reflect.set(Error, 'stackTraceLimit', limit);
  return call;
}

// biome-ignore lint/complexity/noBannedTypes: any function is a mark for captureStackTrace
function traceCallerOf(method: Function): CallTrace {
  const call: CallTrace = { own: 0 };
  Error.captureStackTrace(call, method);
  return call;
}

/**
 * Gives a bus error the stack of a call, and returns the error. Without `call` the stack starts at the caller of `method`. V8
 * knows the awaiting callers of `method` only while `method` itself runs, so only `method`, or what it has called, may
 * leave it out; and where nobody awaits the call it finds no line at all: then the stack is that of `otherwise`.
 */
export function stackFromCaller(
  error: unknown,
  // biome-ignore lint/complexity/noBannedTypes: any function is a mark for captureStackTrace
  method: Function,
  call: CallTrace = traceCallerOf(method),
  otherwise?: CallTrace,
): unknown {
  if (!(error instanceof EventBusError)) return error;
  let text: string | undefined;
  Object.defineProperty(error, 'stack', {
    get() {
      text ??= `${Error.prototype.toString.call(error)}${framesOf(call) || framesOf(otherwise)}`;
      return text;
    },
    set(stack: string) {
      text = stack;
    },
    enumerable: false,
    configurable: true,
  });
  return error;
}

const FRAME = /\n\s+at /;

/** The frames of a call from the first one of the user, each on a line of its own; '' if there is none. */
function framesOf({ stack = '', own }: CallTrace = { own: 0 }): string {
  const frames = stack.split(FRAME).slice(1 + own);
  // Between two timers Node runs what has become ready, below frames of its own.
  const first = frames.findIndex((frame) => !frame.includes('node:internal/'));
  return frames
    .slice(first < 0 ? frames.length : first)
    .map((frame) => `\n    at ${frame.trimEnd()}`)
    .join('');
}

/**
 * Replaces these methods of a class by async ones that give the errors of the originals the stack of their call, whoever
 * awaits it or not. An original must be a plain function that returns a promise.
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
      const call = traceCall(1);
      try {
        return await method.apply(this, args);
      } catch (error) {
        throw stackFromCaller(error, wrapped, call);
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
