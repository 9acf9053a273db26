/** Under which names the container of Nest has what belongs to a bus. */

import { invalidAt } from '../errors';

export const DEFAULT_NAME = 'default';

/** The token of a client. A text, so that two copies of this package agree. */
export function getBusToken(name?: string): string {
  return `oxbus:client:${readName(name)}`;
}

/** The token of what `forRoot` was given. */
export const givenToken = (name: string) => `oxbus:given:${name}`;
/** The token of what reads the handlers of a bus. */
export const subscriberToken = (name: string) => `oxbus:subscriber:${name}`;
/** The token of what ends a bus. */
export const endToken = (name: string) => `oxbus:end:${name}`;

/** Throws `INVALID_OPTIONS` for what is no name. */
export function readName(name: unknown, path = 'name'): string {
  if (name === undefined) return DEFAULT_NAME;
  if (typeof name === 'string' && name !== '') return name;
  throw invalidAt('ERR_BUS_INVALID_OPTIONS', path, 'must be a text that is not empty');
}
