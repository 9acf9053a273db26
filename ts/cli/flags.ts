/** The flags of every command, and reading the values of flags. */

import type { Flag } from './command';
import { usage } from './failure';

export const CONNECTION: Readonly<Record<string, Flag>> = {
  redis: {
    value: 'url',
    short: 'r',
    text: 'the server; default: the configuration, else REDIS_URL',
  },
  sentinel: {
    value: 'name@host:port,…',
    text: 'the name of a master, and the sentinels that watch it',
  },
  cluster: { value: 'host:port,…', text: 'nodes of a Redis Cluster' },
  prefix: { value: 'text', text: 'channelPrefix of the services' },
  config: { value: 'file', text: 'the configuration; default: oxbus.config.{js,ts,json} here' },
};

export const COMMON: Readonly<Record<string, Flag>> = {
  json: { text: 'results as JSON, one value a line' },
  quiet: { short: 'q', text: 'nothing on stderr but an error' },
  help: { short: 'h', text: 'this help' },
};

export const WATCH: Readonly<Record<string, Flag>> = {
  watch: { short: 'w', text: 'look again every two seconds, until Ctrl-C' },
};

export const YES: Readonly<Record<string, Flag>> = {
  yes: { short: 'y', text: 'do not ask' },
};

/** A number of seconds, in ms. */
export function secondsOf(text: string | undefined, standard: number): number {
  const value = Number(text ?? standard);
  if (value >= 0.1 && value <= 60) return Math.round(value * 1000);
  throw usage(`--seconds: must be a number from 0.1 to 60, not '${text}'`);
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** An integer from `least`. */
export function countOf(name: string, text: string | undefined, least = 1): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw usage(`--${name}: must be a number from ${least}, not '${text}'`);
}

/** A time span such as `90s`, `10min`, `2h`, in ms. */
export function spanOf(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(text) ?? [];
  const size = UNITS[unit];
  return size === undefined ? undefined : Number(number) * size;
}

/**
 * A place in a stream: a message id as it is; `beginning`; `10min` for what was stored since ten minutes ago; else a moment. The engine
 * reads numbers as milliseconds since 1970.
 */
export function placeOf(name: string, text: string | undefined): string | number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+-\d+$/.test(text)) return text;
  if (text === 'beginning') return 0;
  if (/^\d{12,}$/.test(text)) return Number(text);
  const past = spanOf(text);
  if (past !== undefined) return Math.max(0, Math.round(Date.now() - past));
  const moment = Date.parse(text);
  if (!Number.isNaN(moment)) return moment;
  throw usage(
    `--${name}: '${text}' is no message id, no time span such as 10min, and no time such as 2026-01-31T08:00:00Z`,
  );
}
