/** Structured logging to the logger of the user. */

import type { Logger, LogLevel } from '../../index';
import { describe } from '../errors';
import { callHere } from '../handle/current-event';
import { ignoreRejection } from '../runtime/promises';

/**
 * What a line says besides its message. `err` is an error as it was thrown: loggers that take the fields first (pino) show
 * it with its stack under that name, and for the others its text is added as `stack`, which winston shows.
 */
export type LogFields = Record<string, unknown>;

const RANK: Record<LogLevel | 'silent', number> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  silent: 4,
};

/** Writes all levels to one of the two streams. */
const STREAMS = {
  // biome-ignore lint/suspicious/noConsole: the default logger is the console as well
  stderr: loggerOf((line) => console.error(line)),
  // biome-ignore lint/suspicious/noConsole: the same
  stdout: loggerOf((line) => console.log(line)),
};

/**
 * Logs messages with fields, from a level upwards, in no context of the application. Errors of the logger do not get out.
 */
export class Log {
  readonly #target: Logger;
  readonly #least: number;
  readonly #service: string;
  readonly #form: 'line' | 'message first' | 'fields first';

  constructor(
    logger: Logger | 'stderr' | 'stdout' | undefined,
    level: LogLevel | 'silent',
    service: string,
  ) {
    this.#least = RANK[level];
    this.#service = service;
    if (logger === undefined || typeof logger === 'string') {
      this.#target = logger === undefined ? console : STREAMS[logger];
      this.#form = 'line';
    } else {
      this.#target = logger;
      this.#form = isPino(logger) ? 'fields first' : 'message first';
    }
  }

  /** Whether a level is logged at all. Callers ask before they make costly fields. */
  enabled(level: LogLevel): boolean {
    return RANK[level] >= this.#least;
  }

  write(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (!this.enabled(level)) return;
    try {
      callHere(() => this.#write(level, message, fields));
    } catch {
      // A logger that throws must not disturb the bus, and there is nowhere left to report it.
    }
  }

  #write(level: LogLevel, message: string, fields: LogFields): void {
    const all: LogFields = { service: this.#service, ...fields };
    const target = this.#target;
    if (this.#form === 'fields first') {
      ignoreRejection(target[level](all, message));
    } else if (this.#form === 'message first') {
      const stack = stackOf(fields.err);
      if (stack !== undefined) all.stack = stack;
      ignoreRejection(target[level](message, all));
    } else {
      target[level](this.#line(level, message, fields));
    }
  }

  #line(level: LogLevel, message: string, { err, ...fields }: LogFields): string {
    let line = `${new Date().toISOString()} ${level} [${this.#service}] oxbus: ${message}`;
    const json = JSON.stringify(fields);
    if (json !== '{}') line += ` ${json}`;
    const stack = stackOf(err);
    return stack === undefined ? line : `${line}\n${stack}`;
  }
}

/** The fields of a line about what code of the user has thrown. It never throws itself. */
export function fieldsOf(thrown: unknown): LogFields {
  const fields: LogFields = { error: describe(thrown) };
  if (thrown instanceof Error) fields.err = thrown;
  return fields;
}

function stackOf(err: unknown): string | undefined {
  const stack = (err as { stack?: unknown } | undefined)?.stack;
  return typeof stack === 'string' && stack !== '' ? stack : undefined;
}

function loggerOf(write: (line: string) => void): Logger {
  return { debug: write, info: write, warn: write, error: write };
}

/** pino takes the fields first; of the known loggers only it has `bindings()`. */
function isPino(logger: Logger): boolean {
  return typeof (logger as { bindings?: unknown }).bindings === 'function';
}
