/** The configuration of a client of a hub, read once, with its defaults. */

import type { EventBusConfig, Logger, LogLevel, SocketIOConfig } from '../../../index';
import { invalidAt } from '../../errors';
import { copyPlain, isPlainObject } from '../../input/json';

const CODE = 'ERR_BUS_INVALID_CONFIG';
const KEYS: readonly string[] = [
  'mode',
  'serviceName',
  'socketIO',
  'logger',
  'logLevel',
  'inherit',
];
const SOCKET_KEYS: readonly string[] = ['url', 'auth', 'transports', 'path'];
const TRANSPORTS: readonly unknown[] = ['websocket', 'polling'];
const LEVELS: readonly unknown[] = ['debug', 'info', 'warn', 'error', 'silent'];

export type Auth = NonNullable<SocketIOConfig['auth']>;

export interface HubClientSettings {
  readonly serviceName: string;
  readonly url: string;
  readonly auth: Auth | undefined;
  readonly transports: readonly string[];
  readonly path: string | undefined;
  readonly logger: Logger | 'stderr' | 'stdout' | undefined;
  readonly logLevel: LogLevel | 'silent';
  readonly inherit: boolean;
}

/** Throws `INVALID_CONFIG` with the path of what is wrong. */
export function readHubConfig(config: EventBusConfig): HubClientSettings {
  const given = copyPlain(config, CODE, 'configuration');
  for (const key of Object.keys(given)) {
    if (given[key] === undefined || KEYS.includes(key)) continue;
    throw invalidAt(CODE, key, "is not for mode 'socket.io': what the hub's bus has counts");
  }
  const { serviceName, logger, logLevel, inherit = true } = given;
  if (typeof inherit !== 'boolean') throw invalidAt(CODE, 'inherit', 'must be true or false');
  return {
    serviceName: readServiceName(serviceName),
    ...readSocketIO(given.socketIO),
    ...readLogging(logger, logLevel),
    inherit,
  };
}

function readServiceName(value: unknown): string {
  const name = value ?? process.env.SERVICE_NAME ?? 'oxbus';
  if (typeof name === 'string' && name !== '') return name;
  throw invalidAt(CODE, 'serviceName', 'must be a text that is not empty');
}

function readSocketIO(
  value: unknown,
): Pick<HubClientSettings, 'url' | 'auth' | 'transports' | 'path'> {
  if (!isPlainObject(value)) throw invalidAt(CODE, 'socketIO', 'must be an object with a url');
  for (const key of Object.keys(value)) {
    if (!SOCKET_KEYS.includes(key)) throw invalidAt(CODE, `socketIO.${key}`, 'unknown key');
  }
  const { url, auth, transports = TRANSPORTS, path } = value;
  if (typeof url !== 'string' || !/^(https?|wss?):\/\/./.test(url)) {
    throw invalidAt(CODE, 'socketIO.url', 'must be an address such as https://hub.example.com');
  }
  if (auth !== undefined && typeof auth !== 'function' && !isPlainObject(auth)) {
    throw invalidAt(CODE, 'socketIO.auth', 'must be an object, or a function that returns one');
  }
  const isList = Array.isArray(transports) && transports.length > 0;
  if (!isList || !transports.every((one) => TRANSPORTS.includes(one))) {
    const message = "must be an array of 'websocket' and 'polling'";
    throw invalidAt(CODE, 'socketIO.transports', message);
  }
  if (path !== undefined && (typeof path !== 'string' || !path.startsWith('/'))) {
    throw invalidAt(CODE, 'socketIO.path', "must be a path such as '/socket.io'");
  }
  return { url, auth: auth as Auth | undefined, transports: [...transports], path };
}

function readLogging(
  logger: unknown,
  logLevel: unknown = 'info',
): Pick<HubClientSettings, 'logger' | 'logLevel'> {
  if (!LEVELS.includes(logLevel)) throw invalidAt(CODE, 'logLevel', 'must be a level of the log');
  const level = logLevel as LogLevel | 'silent';
  if (logger === false) return { logger: undefined, logLevel: 'silent' };
  if (logger === undefined || logger === 'stderr' || logger === 'stdout') {
    return { logger, logLevel: level };
  }
  for (const name of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof (logger as Partial<Logger> | null)?.[name] !== 'function') {
      throw invalidAt(CODE, `logger.${name}`, 'must be a function');
    }
  }
  return { logger: logger as Logger, logLevel: level };
}
