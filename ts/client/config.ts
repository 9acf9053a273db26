/** Splits a configuration into the JSON that the engine validates and the values that only JavaScript can hold. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Logger, ShutdownSignal, StreamConfig } from '../../index';
import { invalidAt, unwrap } from '../errors';
import { copyPlain, isPlainObject, jsonOf } from '../input/json';
import { native, type Settings } from '../native/native';
import { readShutdownSignals } from '../runtime/shutdown';
import { readSchemas, type Schemas } from '../validation/schemas';
import { warningsOf } from './foreign-patterns';

const VARIABLES = [
  'REDIS_URL',
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_DB',
  'REDIS_TLS',
  'ENABLE_REDIS_EVENTS',
  'SERVICE_NAME',
  'NODE_ENV',
  'NODE_EXTRA_CA_CERTS',
  'NODE_USE_SYSTEM_CA',
] as const;

const CODE = 'ERR_BUS_INVALID_CONFIG';

/** A configuration that the engine has accepted. */
export interface ReadConfig {
  json: string;
  env: string;
  settings: Settings;
  /** Undefined: the console. */
  logger: Logger | 'stderr' | 'stdout' | undefined;
  schemas: Schemas | undefined;
  shutdownSignals: readonly ShutdownSignal[];
  /** Whether it only looks on: `observe`. */
  isObserver: boolean;
  /** Whether the server is a Redis Cluster. */
  isCluster: boolean;
}

/**
 * Reads a user's configuration, and the environment without the variables in `unset`. Throws
 * `INVALID_CONFIG` with the path of what is wrong.
 */
export function readConfig(config: unknown = {}, unset: readonly string[] = []): ReadConfig {
  const given = copyPlain(config, CODE, 'configuration');
  const logger = readLogger(given.logger);
  const schemas = readSchemas(given.schemas);
  const shutdownSignals = readShutdownSignals(given.shutdownSignals);
  const own = ['schemas', 'shutdownSignals'];
  // That there is none is for the engine, too.
  if (given.logger !== false) own.push('logger');
  const json = jsonOf(withPem(given), CODE, 'configuration', own);
  const env = environment(unset);
  const settings = unwrap<Settings>(native.settings(json, env));
  // The engine has checked them.
  settings.notices.push(...warningsOf(given.streams as StreamConfig[] | undefined));
  const isObserver = given.observe === true;
  const isCluster = isPlainObject(given.redis) && given.redis.cluster !== undefined;
  return { json, env, settings, logger, schemas, shutdownSignals, isObserver, isCluster };
}

function readLogger(value: unknown): ReadConfig['logger'] {
  if (value === undefined || value === false) return undefined;
  if (value === 'stderr' || value === 'stdout') return value;
  if (typeof value !== 'object' && typeof value !== 'function') {
    throw invalidAt(CODE, 'logger', "must be a logger, 'stderr', 'stdout' or false");
  }
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof (value as Partial<Logger> | null)?.[level] !== 'function') {
      throw invalidAt(CODE, `logger.${level}`, 'must be a function');
    }
  }
  return value as Logger;
}

/** Certificates and keys as text: PEM is ASCII, and JSON holds no bytes. */
function withPem(config: Record<string, unknown>): Record<string, unknown> {
  const redis = config.redis;
  if (!isPlainObject(redis)) return config;
  const servers = withPemTls(redis);
  const sentinel = isPlainObject(redis.sentinel) ? withPemTls(redis.sentinel) : redis.sentinel;
  if (servers === redis && sentinel === redis.sentinel) return config;
  return { ...config, redis: sentinel === undefined ? servers : { ...servers, sentinel } };
}

/** The same options, with the certificates and keys of their `tls` as text. */
function withPemTls(options: Record<string, unknown>): Record<string, unknown> {
  if (!isPlainObject(options.tls)) return options;
  const tls = { ...options.tls };
  for (const key of ['ca', 'cert', 'key'] as const) {
    const value = tls[key];
    if (Array.isArray(value)) tls[key] = value.map(pem).join('\n');
    else tls[key] = pem(value);
  }
  return { ...options, tls };
}

function pem(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
}

/** JSON of the variables that the engine reads, and of the name of the user's package. */
function environment(unset: readonly string[]): string {
  const env: Record<string, string> = {};
  for (const name of VARIABLES) {
    const value = process.env[name];
    if (value !== undefined && !unset.includes(name)) env[name] = value;
  }
  if (usesSystemAuthorities()) env.NODE_USE_SYSTEM_CA = '1';
  const name = packageName();
  if (name !== undefined) env.package = name;
  return JSON.stringify(env);
}

/** Whether Node is told to trust the authorities of the system, by another way than the variable. */
function usesSystemAuthorities(): boolean {
  const flags = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(/\s+/)];
  return flags.includes('--use-system-ca') || flags.includes('--use-openssl-ca');
}

/** The name of the package that the main module is in, or else the working directory. */
function packageName(): string | undefined {
  const main = process.argv[1];
  // A main module within node_modules is a runner (jest, pm2), not the service.
  const own = main !== undefined && !main.includes('node_modules');
  return (own ? nearestName(dirname(main)) : undefined) ?? nearestName(process.cwd());
}

/** The name in the nearest package.json that has one: a file without a name only tells how its folder is loaded. */
function nearestName(from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const name = nameIn(folder);
    if (name !== undefined || dirname(folder) === folder) return name;
  }
}

function nameIn(folder: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return typeof name === 'string' && name !== '' ? name : undefined;
  } catch {
    return undefined;
  }
}
