/** What a client of a hub sends to publish an event. */

import { types } from 'node:util';
import { invalidAt } from '../../errors';
import { handledEvent } from '../../handle/current-event';
import { copyOptions } from '../../input/options';
import { checkSignal } from '../../input/signal';
import { RawJson } from '../../raw-json';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

export interface Target {
  readonly room?: string;
  readonly user?: string;
  readonly broadcast?: true;
}

export interface Sent {
  readonly message: object;
  /** In ms. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Throws `INVALID_TYPE`, `INVALID_DATA` or `INVALID_OPTIONS` for what cannot be sent; the hub checks the rest. */
export function publishMessage(
  type: unknown,
  data: unknown,
  options: unknown,
  target: Target,
  own: { source: string; inherit: boolean },
): Sent {
  if (typeof type !== 'string' || type === '') {
    throw invalidAt('ERR_BUS_INVALID_TYPE', 'type', 'must be a text that is not empty');
  }
  if (data === undefined || typeof data === 'function' || typeof data === 'symbol') {
    throw invalidAt('ERR_BUS_INVALID_DATA', 'data', `${typeof data} is not a JSON value`);
  }
  const { timeout, signal, ...given } = copyOptions(options);
  checkSignal(signal);
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout > 0)) {
    throw invalidAt(OPTIONS, 'timeout', 'must be a number of ms');
  }
  if (given.except !== undefined) {
    throw invalidAt(OPTIONS, 'except', "is not available in mode 'socket.io'");
  }
  given.source ??= own.source;
  if (types.isDate(given.timestamp)) given.timestamp = given.timestamp.toISOString();
  const event = own.inherit ? handledEvent() : undefined;
  const cause = Array.isArray(event) ? event[0] : event;
  if (cause !== undefined) {
    given.correlationId ??= cause.metadata.correlationId;
    given.causationId ??= cause.id;
  }
  for (const key of Object.keys(given)) if (given[key] === undefined) delete given[key];
  const payload = RawJson.is(data) ? data.parse() : data;
  const message = { type, data: payload, ...target, options: given };
  return { message, ...(timeout !== undefined && { timeout }), signal };
}
