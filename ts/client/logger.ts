/** Structured logging to the logger of the user. */

import type { Logger, LogLevel } from '../../index';
import { callHere } from '../handle/current-event';
import { ignoreRejection } from '../runtime/promises';

export type LogFields = Record<string, unknown>;

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/**
 * Logs messages with fields, from a level upwards, in no context of the application. Errors of the logger do not get out.
 */
export class Log {
  readonly #target: Logger;
  readonly #least: number;
  readonly #service: string;
  readonly #form: 'line' | 'message first' | 'fields first';

  constructor(logger: Logger | undefined, level: LogLevel, service: string) {
    this.#target = logger ?? console;
    this.#least = RANK[level];
    this.#service = service;
    this.#form = logger === undefined ? 'line' : isPino(logger) ? 'fields first' : 'message first';
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
    const all = { service: this.#service, ...fields };
    const target = this.#target;
    if (this.#form === 'fields first') ignoreRejection(target[level](all, message));
    else if (this.#form === 'message first') ignoreRejection(target[level](message, all));
    else target[level](this.#line(level, message, fields));
  }

  #line(level: LogLevel, message: string, fields: LogFields): string {
    const line = `${new Date().toISOString()} ${level} [${this.#service}] oxbus: ${message}`;
    const json = JSON.stringify(fields);
    return json === '{}' ? line : `${line} ${json}`;
  }
}

/** pino takes the fields first; of the known loggers only it has `bindings()`. */
function isPino(logger: Logger): boolean {
  return typeof (logger as { bindings?: unknown }).bindings === 'function';
}
