/** The errors of handlers: as the bus gets them, and as callers do. */

import { microservices } from './packages';

/** As Nest's other clients give the error, and an Error as well: with a stack, and the members that it was given. */
export function rpcException(error: unknown): Error {
  const exception = new microservices.RpcException(error as object);
  if (typeof error === 'object' && error !== null) {
    for (const [key, value] of Object.entries(error)) {
      if (key !== 'stack') Object.assign(exception, { [key]: value });
    }
  }
  return exception;
}

/** Nest throws plain objects, of which the bus would say nothing but their type. */
export function asError(thrown: unknown): unknown {
  if (thrown instanceof Error || typeof thrown !== 'object' || thrown === null) return thrown;
  const { message, ...fields } = thrown as Record<string, unknown>;
  const error = new Error(typeof message === 'string' ? message : JSON.stringify(thrown));
  return Object.assign(error, fields, { name: 'RpcException' });
}
