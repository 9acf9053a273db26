/** `oxbus.config.{js,ts,json}`: the configuration that a service and the command line share. */

import { existsSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import type { EventBusConfig } from '../../index';
import { ADVICE, imported, isModuleAsScript } from './config-module';
import { EXIT, Failure, notFound, usage } from './failure';

const NAMES = ['js', 'mjs', 'cjs', 'ts', 'mts', 'cts', 'json'].map((end) => `oxbus.config.${end}`);
const TYPESCRIPT = /^\.[cm]?ts$/;

/** The file that is given, or the one of this folder; undefined where there is none. */
export function findConfig(given: string | undefined, folder: string): string | undefined {
  if (given === undefined) {
    return NAMES.map((name) => join(folder, name)).find((path) => existsSync(path));
  }
  const path = resolve(folder, given);
  if (!existsSync(path)) throw notFound(`${given}: there is no such file`);
  return path;
}

/** What the file exports: as `default`, as `config`, or the whole of JSON. It may be a function that returns it. */
export async function readConfigFile(path: string): Promise<EventBusConfig> {
  const value = extname(path) === '.json' ? readJson(path) : await exported(path);
  const config = typeof value === 'function' ? await value() : value;
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw usage(`${path}: must export the configuration of a client, as its default`);
  }
  return config as EventBusConfig;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw usage(`${path}: ${(error as Error).message}`);
  }
}

async function exported(path: string): Promise<unknown> {
  const strips = (process.features as { typescript?: unknown }).typescript;
  const isTypeScript = TYPESCRIPT.test(extname(path));
  if (isTypeScript && (strips === undefined || strips === false)) {
    throw new Failure(
      EXIT.usage,
      `${path}: Node.js ${process.versions.node} does not run TypeScript. Use Node.js 22.18 or newer, or oxbus.config.js`,
    );
  }
  try {
    const module = await imported(path);
    // What CommonJS exports comes as the default, and the default of a compiled file once more within it.
    const outer = module.default as Record<string, unknown> | undefined;
    return outer?.default ?? outer ?? module.config;
  } catch (error) {
    if (isModuleAsScript(error)) throw usage(`${path}: ${ADVICE}`);
    const lines = String((error as Error).message ?? error).split('\n');
    throw usage(
      `${path}: ${lines.map((line) => line.trim()).find((line) => line !== '') ?? 'failed'}`,
    );
  }
}
