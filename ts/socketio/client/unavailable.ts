/** What a client of a hub does not have. */

import type { DeadLetters, Streams } from '../../../index';
import { invalidAt } from '../../errors';

/** Says which method it is that only a client with a connection to Redis has. */
function unavailable(method: string): Error {
  const message = "is not available in mode 'socket.io': ask a service with a connection to Redis";
  return invalidAt('ERR_BUS_INVALID_OPTIONS', method, message);
}

/** A method of this name that rejects. */
export const refusing = (method: string) => (): Promise<never> =>
  Promise.reject(unavailable(method));

/** An object whose methods, of these names, reject. */
function unavailableMethods<T>(owner: string, names: readonly (keyof T & string)[]): T {
  const entries = names.map((name) => [name, refusing(`${owner}.${name}`)] as const);
  return Object.freeze(Object.fromEntries(entries)) as T;
}

export const noStreams = unavailableMethods<Streams>('streams', [
  'info',
  'exists',
  'list',
  'pending',
  'recover',
  'trim',
  'setPosition',
  'removeGroup',
]);

export const noDeadLetters = unavailableMethods<DeadLetters>('deadLetters', [
  'list',
  'get',
  'replay',
  'replayAll',
  'remove',
  'purge',
  'count',
]);
