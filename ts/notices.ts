/** What the engine announces, as log lines and as events of the client. */

import type { Emitter } from './emitter';
import type { EventBusError } from './errors';
import { fromValue } from './errors';
import type { Log } from './logger';
import type { Notice, Settings } from './native';

export class Notices {
  readonly #log: Log;
  readonly #emitter: Emitter;
  readonly #idOf: (sub: number) => string | undefined;
  /** Warnings about the configuration, kept until someone can have begun to listen. */
  #early: { code: string; message: string }[] = [];

  constructor(log: Log, emitter: Emitter, idOf: (sub: number) => string | undefined) {
    this.#log = log;
    this.#emitter = emitter;
    this.#idOf = idOf;
  }

  /** What the configuration has to say, when the client is made. */
  configured(notices: Settings['notices']): void {
    for (const { level, code, message } of notices) {
      this.#log.write(level, message, { code });
      if (level === 'warn') this.#early.push({ code, message });
    }
  }

  /** The client begins to connect. */
  started(): void {
    for (const warning of this.#early) this.#emitter.emit('warning', warning);
    this.#early = [];
  }

  notice(notice: Notice): void {
    switch (notice.event) {
      case 'ready':
        this.#log.write('info', 'ready');
        this.#emitter.emit('ready');
        break;
      case 'closed':
        this.#log.write('info', 'closed');
        this.#emitter.emit('closed');
        break;
      case 'reconnecting': {
        const { link, attempt, delay } = notice;
        const error = fromValue(notice.error);
        this.#log.write('info', 'reconnecting', { link, attempt, delay, ...fieldsOf(error) });
        this.#emitter.emit('reconnecting', { link, attempt, delay, error });
        break;
      }
      case 'disconnected': {
        const error = fromValue(notice.error);
        this.#log.write('warn', 'disconnected', { link: notice.link, ...fieldsOf(error) });
        this.#emitter.emit('disconnected', { link: notice.link, error });
        break;
      }
      case 'error':
        this.#error(fromValue(notice.error));
        break;
      case 'gap': {
        const { from, to, patterns, recovered, complete } = notice;
        const gap = { from, to, patterns, recovered, complete };
        this.#log.write('warn', 'events may have been missed', gap);
        this.#emitter.emit('gap', gap);
        break;
      }
      case 'circuit': {
        const { state } = notice;
        const subscription = this.#idOf(notice.subscription);
        this.#log.write('warn', `circuit ${state}`, { subscription });
        if (subscription !== undefined) this.#emitter.emit('circuit', { subscription, state });
        break;
      }
      case 'warning': {
        const { code, message } = notice;
        this.#log.write('warn', message, { code });
        this.#emitter.emit('warning', { code, message });
        break;
      }
      case 'log':
        this.#log.write(notice.level, notice.message, notice.fields);
        break;
    }
  }

  #error(error: EventBusError): void {
    if (this.#emitter.emit('error', error)) return;
    this.#log.write('error', error.message, { code: error.code });
  }
}

function fieldsOf(error: EventBusError): { code: string; error: string } {
  return { code: error.code, error: error.message };
}
