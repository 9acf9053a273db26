/**
 * Requests that are under way, each with one responder, and the inbox that their replies come to. The inbox is subscribed when
 * the first request is made, and stays.
 */

import type { BusEvent, PublishOptions, PublishResult } from '../../index';
import { busError, type EventBusError } from '../errors';
import { ignoreRejection } from '../runtime/promises';
import type { RequestChannel } from './channel';
import type { RequestCounts } from './counts';
import { addressOf, CANCEL_TYPE, inboxOf, readReply } from './protocol';
import type { ParsedRequestOptions } from './request-options';
import { errorOf } from './thrown-error';

/** So many requests of a client may be under way; its inbox holds as many replies. */
export const MAX_REQUESTS = 100_000;

/** What has become of a request at one responder. */
export type ExchangeEnd =
  | { readonly kind: 'data'; readonly data: unknown }
  /** Of the handler, or of the responder for it. */
  | { readonly kind: 'error'; readonly error: EventBusError }
  /** The responder has certainly not begun with it, and never will. */
  | { readonly kind: 'absent' }
  /** It could not be sent, or may not have been. */
  | { readonly kind: 'unsent'; readonly error: unknown };

export interface Exchange {
  readonly id: number;
  readonly responder: string;
  /** Called once, unless it is dropped before. */
  readonly ended: (end: ExchangeEnd) => void;
}

/** What is asked of a responder. */
export interface Question {
  readonly type: string;
  readonly data: Parameters<RequestChannel['send']>[1];
  readonly options: ParsedRequestOptions;
}

export class Exchanges {
  readonly #channel: RequestChannel;
  readonly #counts: RequestCounts;
  readonly #open = new Map<number, Exchange>();
  #last = 0;
  #subscribing: Promise<void> | undefined;
  #subscribed = false;

  constructor(channel: RequestChannel, counts: RequestCounts) {
    this.#channel = channel;
    this.#counts = counts;
  }

  /** Whether replies would be heard. */
  get isReady(): boolean {
    return this.#subscribed;
  }

  /** Resolves when the server has confirmed the inbox. */
  ready(): Promise<void> {
    this.#subscribing ??= this.#subscribe();
    return this.#subscribing;
  }

  /** Asks a responder; `isLocal` where it belongs to this client in hybrid mode. Throws `QUEUE_FULL` and `CLOSED`. */
  ask(
    question: Question,
    responder: string,
    isLocal: boolean,
    ended: (end: ExchangeEnd) => void,
  ): Exchange {
    if (this.#open.size >= MAX_REQUESTS) {
      const message = `a client has at most ${MAX_REQUESTS} requests under way`;
      throw busError('ERR_BUS_QUEUE_FULL', message, { outcome: 'not_sent' });
    }
    const { type, data, options } = question;
    this.#last += 1;
    const exchange: Exchange = { id: this.#last, responder, ended };
    const request = { id: exchange.id, timeout: options.timeout };
    const publish: PublishOptions = {
      ...options.publish,
      metadata: options.metadata === undefined ? { request } : { ...options.metadata, request },
      ...(isLocal && { localOnly: true }),
    };
    const sending = this.#channel.send(type, data, publish, addressOf(responder));
    this.#open.set(exchange.id, exchange);
    this.#counts.requestsSent += 1;
    sending.then(
      (result) => this.#sent(exchange, result, isLocal),
      (error) => this.#end(exchange, { kind: 'unsent', error }),
    );
    return exchange;
  }

  /**
   * Nobody waits for the reply any more, and the responder is told. A reply that comes all the same counts as late. False
   * when it had ended before.
   */
  cancel(exchange: Exchange, isLocal: boolean): boolean {
    if (!this.#open.delete(exchange.id)) return false;
    const options: PublishOptions = {
      durable: false,
      metadata: { cancel: exchange.id },
      ...(isLocal && { localOnly: true }),
    };
    try {
      // Where it cannot be told, the time of its handler ends the call.
      ignoreRejection(
        this.#channel.send(CANCEL_TYPE, 'null', options, addressOf(exchange.responder)),
      );
    } catch {
      // The client has closed.
    }
    return true;
  }

  async #subscribe(): Promise<void> {
    const { instanceId } = this.#channel;
    // Each reply is handled at once, so these bounds are only what comes in one drain, or while JavaScript is busy.
    const options = { concurrency: 10_000, timeout: 0, queue: { maxEvents: MAX_REQUESTS } };
    try {
      await this.#channel.listen(inboxOf(instanceId), (event) => this.#receive(event), options);
      this.#subscribed = true;
    } catch (error) {
      this.#subscribing = undefined;
      throw error;
    }
  }

  #receive({ data, metadata }: BusEvent): void {
    const reply = readReply(metadata);
    const exchange = reply && this.#open.get(reply.id);
    if (reply === undefined || (exchange && exchange.responder !== reply.responder)) {
      this.#counts.foreign += 1;
    } else if (exchange === undefined) {
      this.#counts.repliesLate += 1;
    } else if (reply.gone === true) {
      this.#end(exchange, { kind: 'absent' });
    } else if (reply.error !== undefined) {
      this.#end(exchange, { kind: 'error', error: errorOf(reply.error, reply.responder) });
    } else {
      this.#end(exchange, { kind: 'data', data });
    }
  }

  #sent(exchange: Exchange, result: PublishResult, isLocal: boolean): void {
    if (!this.#open.has(exchange.id)) return;
    const { receivers, local, remote } = result;
    if (isLocal ? local === 0 : receivers === 0 && this.#isCounted(remote)) {
      this.#end(exchange, { kind: 'absent' });
    } else if (!isLocal && (remote === 'not_sent' || remote === 'rejected')) {
      const message = 'the request could not be sent to the server';
      const error = busError('ERR_BUS_CONNECTION_LOST', message, { outcome: remote });
      this.#end(exchange, { kind: 'unsent', error });
    }
  }

  /** Whether the number of receivers is that of all there are. */
  #isCounted(remote: PublishResult['remote']): boolean {
    return this.#channel.countsReceivers && (remote === undefined || remote === 'resolved');
  }

  #end(exchange: Exchange, end: ExchangeEnd): void {
    if (this.#open.delete(exchange.id)) exchange.ended(end);
  }
}
