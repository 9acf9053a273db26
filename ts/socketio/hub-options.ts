/** The options of a hub, read once, with their defaults. */

import type { HubOptions } from '../../socket.io';
import { readOptions } from '../input/options';
import { GIB, readFunction, readInteger, readOnError } from './read';

export interface HubSettings {
  readonly authorize: HubOptions['authorize'];
  readonly maxClients: number;
  readonly maxPatterns: number;
  readonly maxRooms: number;
  readonly maxInFlight: number;
  readonly maxBufferBytes: number;
  readonly onError: (error: unknown) => void;
}

const KEYS: readonly (keyof HubOptions)[] = [
  'authorize',
  'maxClients',
  'maxPatterns',
  'maxRooms',
  'maxInFlight',
  'maxBufferBytes',
  'onError',
];

/** Throws `INVALID_OPTIONS` with the path of what is wrong. */
export function readHubOptions(options: unknown): HubSettings {
  const given = readOptions(options, KEYS);
  const { authorize } = given;
  const bound = (key: string, least: number, most: number, standard: number) =>
    readInteger(given[key], key, least, most, standard);
  return {
    authorize:
      authorize === undefined
        ? undefined
        : (readFunction(authorize, 'authorize') as HubOptions['authorize']),
    maxClients: bound('maxClients', 1, 1_000_000, 10_000),
    maxPatterns: bound('maxPatterns', 1, 10_000, 100),
    maxRooms: bound('maxRooms', 1, 10_000, 100),
    maxInFlight: bound('maxInFlight', 1, 100_000, 1000),
    maxBufferBytes: bound('maxBufferBytes', 1024, GIB, 1 << 20),
    onError: readOnError(given.onError),
  };
}
