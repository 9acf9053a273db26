/** Turns the notices of the engine, and failures of handlers, into log lines and events of the client. */

import type { BusEvent } from '../../index';
import type { EventBusError } from '../errors';
import { fromValue } from '../errors';
import { firstEvent } from '../handle/handler-context';
import type { HandlerFailure } from '../handle/handler-failure';
import type { Notice, Settings } from '../native/native';
import type { Emitter } from './emitter';
import type { Log } from './logger';

/** The names of the links that live events go by; in a Cluster that of the node follows. */
const LIVE_LINKS = /^(publisher|subscriber)/;

/** What the notices need to know of subscriptions and their calls. */
export interface NoticeOwner {
  /** By the clock of the client. */
  now(): number;
  /** The id of a subscription, by its number. */
  idOf(sub: number): string | undefined;
  /** Ends the calls of a lost claim; returns the id of the event. */
  loseClaim(tokens: readonly number[], messageId: string): string | undefined;
}

export class Notices {
  readonly #log: Log;
  readonly #emitter: Emitter;
  readonly #owner: NoticeOwner;
  /** Warnings about the configuration, kept until someone can have begun to listen. */
  #early: { code: string; message: string }[] = [];

  /** The last failure of a connection, and when the client was ready again. */
  #outage: { error: EventBusError | undefined; endedAt: number } = { error: undefined, endedAt: 0 };

  constructor(log: Log, emitter: Emitter, owner: NoticeOwner) {
    this.#log = log;
    this.#emitter = emitter;
    this.#owner = owner;
  }

  /** Why there was no connection at some time from `startedAt` on; undefined where nothing is known of that. */
  outageSince(startedAt: number): EventBusError | undefined {
    const { error, endedAt } = this.#outage;
    return endedAt >= startedAt ? error : undefined;
  }

  #noConnection(link: string, error: EventBusError): void {
    // What others read and administer by says nothing of the way of live events.
    if (!LIVE_LINKS.test(link)) return;
    this.#outage = { error, endedAt: Number.POSITIVE_INFINITY };
  }

  /** Announces the notices about the configuration, when the client is made. */
  configured(notices: Settings['notices']): void {
    for (const { level, code, message } of notices) {
      this.#log.write(level, message, { code });
      if (level === 'warn') this.#early.push({ code, message });
    }
  }

  /** Told that the client begins to connect. */
  started(): void {
    for (const warning of this.#early) this.#emitter.emit('warning', warning);
    this.#early = [];
  }

  announce(notice: Notice): void {
    switch (notice.event) {
      case 'ready':
        this.#outage.endedAt = Math.min(this.#outage.endedAt, this.#owner.now());
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
        this.#noConnection(notice.link, error);
        this.#emitter.emit('reconnecting', { link, attempt, delay, error });
        break;
      }
      case 'disconnected': {
        const error = fromValue(notice.error);
        this.#noConnection(notice.link, error);
        this.#emitter.emit('disconnected', { link: notice.link, error });
        break;
      }
      case 'error':
        this.faulty(fromValue(notice.error));
        break;
      case 'gap': {
        const { from, to, patterns, recovered, complete } = notice;
        const gap = { from, to, patterns, recovered, complete };
        this.#log.write('warn', 'events may have been missed', gap);
        this.#emitter.emit('gap', gap);
        break;
      }
      case 'deadLetter': {
        const { stream, group, messageId, attempts, reason, error, data, kept } = notice;
        const event = data === null ? null : (JSON.parse(data) as BusEvent);
        const fields = { stream, group, messageId, attempts, reason, kept };
        // What is not kept is told as an error as well, which has its line.
        if (kept) {
          this.#log.write('error', `a stored event was given up: ${error.message}`, {
            ...fields,
            event: event?.id,
            type: event?.type,
            err: error,
          });
        }
        this.#emitter.emit('deadLetter', { ...fields, event, error });
        break;
      }
      case 'messagesLost': {
        const { stream, group, count, from, to } = notice;
        const lost = { stream, group, count, from, to };
        this.#log.write('error', 'stored events were removed before they were handled', lost);
        this.#emitter.emit('messagesLost', lost);
        break;
      }
      case 'claimLost': {
        const { tokens, stream, group, messageId } = notice;
        const eventId = this.#owner.loseClaim(tokens, messageId) ?? null;
        const claim = { stream, group, messageId, eventId };
        this.#log.write('warn', 'another consumer has taken over an event', claim);
        this.#emitter.emit('claimLost', claim);
        break;
      }
      case 'groupRecreated': {
        const { stream, group, from } = notice;
        this.#log.write('warn', 'a consumer group was made again', { stream, group, from });
        this.#emitter.emit('groupRecreated', { stream, group, from });
        break;
      }
      case 'circuit': {
        const { state } = notice;
        const subscription = this.#owner.idOf(notice.subscription);
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

  /** Told of every failed handler call. A stored event that is given up has the line of its dead letter. */
  handlerFailed(failure: HandlerFailure): void {
    const { error, event, attempt, final, durable } = failure;
    this.#emitter.emit('handlerError', {
      error,
      event: event as BusEvent | BusEvent[],
      attempt,
      final,
    });
    if (final && this.#emitter.emit('error', error)) return;
    const level = final ? (durable ? 'debug' : 'error') : 'warn';
    if (!this.#log.enabled(level)) return;
    const message = final ? error.message : `${error.message}; it is tried again`;
    const { id, type } = firstEvent(event);
    const events = Array.isArray(event) ? { events: event.length } : undefined;
    const err = error.cause instanceof Error ? error.cause : error;
    this.#log.write(level, message, {
      code: error.code,
      event: id,
      type,
      ...events,
      attempt,
      err,
    });
  }

  /** Told of a fault with no call to reject. */
  faulty(error: EventBusError): void {
    if (this.#emitter.emit('error', error)) return;
    this.#log.write('error', error.message, { code: error.code });
  }
}
