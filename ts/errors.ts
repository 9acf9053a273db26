/** The errors of the bus, and the only place that makes one of a native error value. */

import type { ErrorCategory, ErrorCode, ErrorDetails, Outcome } from '../index';
import { type ErrorRow, type ErrorValue, type NativeResult, native } from './native/native';

export const ERROR_CODES = [
  'ERR_BUS_CONNECTION_REFUSED',
  'ERR_BUS_CONNECTION_LOST',
  'ERR_BUS_AUTH_FAILED',
  'ERR_BUS_PERMISSION_DENIED',
  'ERR_BUS_SUBSCRIBE_DENIED',
  'ERR_BUS_NOT_MASTER',
  'ERR_BUS_CLUSTER_MODE',
  'ERR_BUS_TLS_FAILED',
  'ERR_BUS_SERVER_MAX_CLIENTS',
  'ERR_BUS_SERVER_LOADING',
  'ERR_BUS_SERVER_BUSY',
  'ERR_BUS_SERVER_ERROR',
  'ERR_BUS_SERVER_OOM',
  'ERR_BUS_WRONG_TYPE',
  'ERR_BUS_INVALID_CONFIG',
  'ERR_BUS_INVALID_TYPE',
  'ERR_BUS_INVALID_PATTERN',
  'ERR_BUS_INVALID_DATA',
  'ERR_BUS_INVALID_OPTIONS',
  'ERR_BUS_INVALID_EVENT',
  'ERR_BUS_EVENT_TOO_LARGE',
  'ERR_BUS_NO_STREAM',
  'ERR_BUS_GROUP_UNAVAILABLE',
  'ERR_BUS_NO_GROUP',
  'ERR_BUS_CONSUMER_IN_USE',
  'ERR_BUS_HANDLER_FAILED',
  'ERR_BUS_HANDLER_TIMEOUT',
  'ERR_BUS_PUBLISH_TIMEOUT',
  'ERR_BUS_CONNECT_TIMEOUT',
  'ERR_BUS_COMMAND_TIMEOUT',
  'ERR_BUS_REQUEST_TIMEOUT',
  'ERR_BUS_NO_RESPONDERS',
  'ERR_BUS_ABORTED',
  'ERR_BUS_QUEUE_FULL',
  'ERR_BUS_NO_THREAD',
  'ERR_BUS_NOT_REPLICATED',
  'ERR_BUS_ADDON_UNAVAILABLE',
  'ERR_BUS_CLOSED',
  'ERR_BUS_INTERNAL',
] as const satisfies readonly ErrorCode[];

const table = new Map<string, { category: ErrorCategory; retryable: boolean }>();
for (const [code, category, retryable] of JSON.parse(native.errorCodes()) as ErrorRow[]) {
  table.set(code, { category, retryable });
}

/** The brand of a class: shared by all copies of this package, so that `instanceof` is too. */
const brandOf = (name: string) => Symbol.for(`oxbus.${name}`);

/** Whether a value has this brand. A proxy that throws counts as one without it. */
function holds(value: object, symbol: symbol): boolean {
  try {
    return Reflect.get(value, symbol) === true;
  } catch {
    return false;
  }
}

function brand(kind: { name: string; prototype: object }): void {
  const symbol = brandOf(kind.name);
  Object.defineProperty(kind.prototype, symbol, { value: true });
  Object.defineProperty(kind.prototype, 'name', {
    value: kind.name,
    configurable: true,
    writable: true,
  });
  Object.defineProperty(kind, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      // A user's subclass inherits this method; it is told by its prototype as usual.
      if (this !== kind) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === 'object' && value !== null && holds(value, symbol);
    },
  });
}

export class EventBusError extends Error {
  readonly code: ErrorCode;
  declare readonly category: ErrorCategory;
  declare readonly retryable: boolean;
  declare readonly outcome?: Outcome;
  declare readonly path?: string;
  declare readonly messageId?: string;
  declare readonly responder?: string;

  constructor(code: ErrorCode, message: string, details?: ErrorDetails) {
    super(
      message,
      details !== undefined && 'cause' in details ? { cause: details.cause } : undefined,
    );
    this.code = code;
    const known = table.get(code);
    this.category = known?.category ?? 'internal';
    this.retryable = known?.retryable ?? false;
    if (details?.outcome !== undefined) this.outcome = details.outcome;
    if (details?.path !== undefined) this.path = details.path;
    if (details?.messageId !== undefined) this.messageId = details.messageId;
    if (details?.responder !== undefined) this.responder = details.responder;
  }

  toJSON(): Record<string, unknown> {
    const { name, code, message, category, retryable, outcome, path, messageId, responder } = this;
    return { name, code, message, category, retryable, outcome, path, messageId, responder };
  }
}

export class ConnectionError extends EventBusError {}
export class ValidationError extends EventBusError {}
export class HandlerError extends EventBusError {}
export class TimeoutError extends EventBusError {}
export class ResourceError extends EventBusError {}

export class NonRetryableError extends HandlerError {
  declare readonly retryable: boolean;

  constructor(message = 'not retryable', options?: { cause?: unknown }) {
    super('ERR_BUS_HANDLER_FAILED', message, options);
    this.retryable = false;
  }
}

export class RetryLater extends HandlerError {
  readonly delay: number;

  constructor(delay: number, message = `retry in ${delay} ms`, options?: { cause?: unknown }) {
    if (typeof delay !== 'number' || !(delay >= 0)) {
      throw new TypeError(`RetryLater takes a number of ms, 0 or more, not ${describe(delay)}`);
    }
    super('ERR_BUS_HANDLER_FAILED', message, options);
    this.delay = delay;
  }
}

for (const kind of [
  EventBusError,
  ConnectionError,
  ValidationError,
  HandlerError,
  TimeoutError,
  ResourceError,
  NonRetryableError,
  RetryLater,
]) {
  brand(kind);
}

const classes: Record<ErrorCategory, typeof EventBusError> = {
  connection: ConnectionError,
  validation: ValidationError,
  handler: HandlerError,
  timeout: TimeoutError,
  resource: ResourceError,
  internal: EventBusError,
};

/** The error of the class that a code belongs to. */
export function busError(code: ErrorCode, message: string, details?: ErrorDetails): EventBusError {
  return new classes[table.get(code)?.category ?? 'internal'](code, message, details);
}

/** An error about input at a path. The message starts with the path, as the engine's messages do. */
export function invalidAt(
  code: ErrorCode,
  path: string,
  message: string,
  cause?: unknown,
): EventBusError {
  const details: ErrorDetails = { path };
  if (cause !== undefined) details.cause = cause;
  return busError(code, path === '' ? message : `${path}: ${message}`, details);
}

/** The error of a native error value. */
export function fromValue(value: ErrorValue): EventBusError {
  return busError(value.code, value.message, value);
}

/** The value of a native result. Throws its error, if it is one. */
export function unwrap<T>(answer: string): T {
  const result = JSON.parse(answer) as NativeResult<T>;
  if (result.error !== undefined) throw fromValue(result.error);
  return (result as { ok: T }).ok;
}

/** A call came too late. */
export function closedError(): EventBusError {
  return busError('ERR_BUS_CLOSED', 'the client is closed', { outcome: 'not_sent' });
}

/** An error of a publish that has not got as far as the engine, with its outcome. */
export function notSent(error: unknown): unknown {
  if (error instanceof EventBusError && error.outcome === undefined) {
    Object.defineProperty(error, 'outcome', {
      value: 'not_sent' satisfies Outcome,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return error;
}

/** The same, as a rejection. */
export function rejectNotSent(error: unknown): Promise<never> {
  return Promise.reject(notSent(error));
}

/** A member of any thrown value; undefined when reading it throws. */
export function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** A text for any thrown value. It never throws itself. */
export function describe(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return 'a value that cannot be shown';
  }
}
