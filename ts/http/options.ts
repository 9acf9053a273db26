/** The options of a handler, read once, with their defaults. */

import type { Authorize, HttpHandlerOptions } from '../../http';
import { invalidAt } from '../errors';
import { isPlainObject } from '../input/json';
import { readOptions } from '../input/options';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const GIB = 1 << 30;
const HOUR = 3_600_000;

export interface HttpSettings {
  readonly authorize: Authorize | undefined;
  readonly basePath: string;
  readonly cors: CorsSettings | undefined;
  readonly maxBodyBytes: number;
  readonly bodyTimeout: number;
  readonly maxBodies: number;
  readonly maxHistory: number;
  readonly stream: StreamSettings;
  readonly onError: (error: unknown) => void;
}

export interface CorsSettings {
  readonly origins: '*' | ReadonlySet<string>;
  readonly credentials: boolean;
}

export interface StreamSettings {
  readonly heartbeat: number;
  readonly retry: number;
  readonly maxClients: number;
  readonly maxBufferBytes: number;
  readonly maxResume: number;
  readonly named: boolean;
}

const KEYS: readonly (keyof HttpHandlerOptions)[] = [
  'authorize',
  'basePath',
  'cors',
  'maxBodyBytes',
  'bodyTimeout',
  'maxBodies',
  'maxHistory',
  'stream',
  'onError',
];

/** Throws `INVALID_OPTIONS` with the path of what is wrong. */
export function readSettings(options: unknown): HttpSettings {
  const given = readOptions(options, KEYS);
  return {
    authorize: readFunction(given, 'authorize') as Authorize | undefined,
    basePath: readBasePath(given.basePath),
    cors: readCors(given.cors),
    maxBodyBytes: readInteger(given, 'maxBodyBytes', 1, GIB, 1 << 20),
    bodyTimeout: readInteger(given, 'bodyTimeout', 1, HOUR, 10_000),
    maxBodies: readInteger(given, 'maxBodies', 1, 100_000, 256),
    maxHistory: readInteger(given, 'maxHistory', 1, 10_000, 1000),
    stream: readStream(given.stream),
    onError: (readFunction(given, 'onError') as HttpSettings['onError'] | undefined) ?? warn,
  };
}

function readStream(value: unknown): StreamSettings {
  const given = readPart(value, 'stream', [
    'heartbeat',
    'retry',
    'maxClients',
    'maxBufferBytes',
    'maxResume',
    'named',
  ]);
  return {
    heartbeat: readInteger(given, 'heartbeat', 1000, HOUR, 15_000, 'stream.'),
    retry: readInteger(given, 'retry', 0, HOUR, 2000, 'stream.'),
    maxClients: readInteger(given, 'maxClients', 1, 1_000_000, 10_000, 'stream.'),
    maxBufferBytes: readInteger(given, 'maxBufferBytes', 1024, GIB, 1 << 20, 'stream.'),
    maxResume: readInteger(given, 'maxResume', 0, 10_000, 1000, 'stream.'),
    named: readBoolean(given, 'named', 'stream.'),
  };
}

function readCors(value: unknown): CorsSettings | undefined {
  if (value === undefined) return undefined;
  const given = readPart(value, 'cors', ['origins', 'credentials']);
  const credentials = readBoolean(given, 'credentials', 'cors.');
  const { origins } = given;
  if (origins === '*') {
    if (!credentials) return { origins, credentials };
    throw invalidAt(
      OPTIONS,
      'cors.credentials',
      "name the origins: with '*' any page could use them",
    );
  }
  if (!Array.isArray(origins)) throw invalidAt(OPTIONS, 'cors.origins', "must be '*' or an array");
  for (const origin of origins) {
    if (typeof origin !== 'string' || originOf(origin) !== origin) {
      const message = "must hold origins, such as 'https://app.example.com', without a path";
      throw invalidAt(OPTIONS, 'cors.origins', message);
    }
  }
  return { origins: new Set(origins as string[]), credentials };
}

function originOf(text: string): string | undefined {
  return URL.canParse(text) ? new URL(text).origin : undefined;
}

function readBasePath(value: unknown): string {
  if (value === undefined || value === '') return '';
  if (typeof value === 'string' && /^(\/[^/?#\s]+)+$/.test(value)) return value;
  throw invalidAt(
    OPTIONS,
    'basePath',
    "must be a path such as '/api/events', without '/' at its end",
  );
}

function readPart(value: unknown, path: string, keys: readonly string[]): Record<string, unknown> {
  if (value === undefined) return {};
  if (!isPlainObject(value)) throw invalidAt(OPTIONS, path, 'must be an object');
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) throw invalidAt(OPTIONS, `${path}.${key}`, 'unknown key');
  }
  return value;
}

function readFunction(given: Record<string, unknown>, key: string): unknown {
  const value = given[key];
  if (value === undefined || typeof value === 'function') return value;
  throw invalidAt(OPTIONS, key, 'must be a function');
}

function readBoolean(given: Record<string, unknown>, key: string, prefix: string): boolean {
  const value = given[key] ?? false;
  if (typeof value === 'boolean') return value;
  throw invalidAt(OPTIONS, prefix + key, 'must be true or false');
}

function readInteger(
  given: Record<string, unknown>,
  key: string,
  least: number,
  most: number,
  standard: number,
  prefix = '',
): number {
  const value = given[key] ?? standard;
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number;
  }
  throw invalidAt(OPTIONS, prefix + key, `must be an integer from ${least} to ${most}`);
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
