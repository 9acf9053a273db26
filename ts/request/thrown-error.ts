/** The error of a responder, as it crosses to the client that has asked. Stacks stay where they are. */

import type { ErrorCode } from '../../index';
import { busError, describe, ERROR_CODES, EventBusError, member } from '../errors';

/** So many characters of each text cross. */
const MAX_NAME = 256;
const MAX_MESSAGE = 4096;

/** What was thrown, as JSON. */
export interface ThrownError {
  name: string;
  message: string;
  code?: string;
  /** Whether it is an error of the bus, so that its code is one of the bus. */
  bus?: true;
  path?: string;
}

/** Whatever was thrown, in a bounded size. Never throws. */
export function noteOf(thrown: unknown): ThrownError {
  const name = member(thrown, 'name');
  const code = member(thrown, 'code');
  const path = member(thrown, 'path');
  const bus = thrown instanceof EventBusError;
  return {
    name: typeof name === 'string' && name !== '' ? cut(name, MAX_NAME) : 'Error',
    message: cut(describe(thrown), MAX_MESSAGE),
    ...((typeof code === 'string' || typeof code === 'number') && {
      code: cut(String(code), MAX_NAME),
    }),
    ...(bus && { bus }),
    ...(bus && typeof path === 'string' && { path: cut(path, MAX_NAME) }),
  };
}

/**
 * The error that the requester gets. An error of the bus has its own code and class. Of any other the code is
 * `HANDLER_FAILED`, and the `cause` an Error with the name, the message and the code that it had.
 */
export function errorOf(note: unknown, responder: string): EventBusError {
  const name = text(note, 'name') ?? 'Error';
  const message = text(note, 'message') ?? 'the responder failed';
  const code = text(note, 'code');
  const path = text(note, 'path');
  if (member(note, 'bus') === true && isCode(code)) {
    return busError(code, message, { responder, path });
  }
  const cause = new Error(message);
  const fields = { name, stack: `${name}: ${message}`, ...(code !== undefined && { code }) };
  for (const [key, value] of Object.entries(fields)) {
    const enumerable = key === 'code';
    Object.defineProperty(cause, key, { value, enumerable, configurable: true, writable: true });
  }
  return busError('ERR_BUS_HANDLER_FAILED', message, { cause, responder });
}

function isCode(code: string | undefined): code is ErrorCode {
  return (ERROR_CODES as readonly (string | undefined)[]).includes(code);
}

function text(value: unknown, key: string): string | undefined {
  const found = member(value, key);
  return typeof found === 'string' ? found : undefined;
}

/** Cut, and without half of a surrogate pair, which JSON could not hold. */
function cut(value: string, length: number): string {
  return value.slice(0, length).toWellFormed();
}
