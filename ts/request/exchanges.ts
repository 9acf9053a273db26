/**
 * Requests that are under way, each with one responder, and the inbox that their replies come to. The inbox is subscribed when
 * the first request is made, and stays.
 */

import type { PublishResult } from '../../index';
import { busError, type EventBusError } from '../errors';
import type { OwnEvent } from '../native/columns';
import type { PublishWatcher } from '../publish/batch';
import type { RequestChannel } from './channel';
import type { RequestCounts } from './counts';
import { addressOf, CANCEL_TYPE, inboxOf, LIVE, LOCAL, Recipients, readReply } from './protocol';
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

/** Who has asked. */
export interface Asker {
  /** Told once of each exchange, unless that is dropped before. */
  ended(exchange: Exchange, end: ExchangeEnd): void;
}

/** A request that is under way, at one responder. It watches its own publish. */
export class Exchange implements PublishWatcher {
  readonly id: number;
  readonly responder: string;
  readonly isLocal: boolean;
  readonly asker: Asker;
  readonly #owner: Exchanges;

  constructor(owner: Exchanges, id: number, responder: string, isLocal: boolean, asker: Asker) {
    this.#owner = owner;
    this.id = id;
    this.responder = responder;
    this.isLocal = isLocal;
    this.asker = asker;
  }

  published(result: PublishResult): void {
    this.#owner.published(this, result);
  }

  failed(error: EventBusError): void {
    this.#owner.end(this, { kind: 'unsent', error });
  }
}

/** Where it cannot be told, the time of its handler ends the call. */
const UNWATCHED: PublishWatcher = { published() {}, failed() {} };

/** What is asked of a responder. */
export interface Question {
  readonly type: string;
  readonly data: Parameters<RequestChannel['post']>[1];
  readonly options: ParsedRequestOptions;
  /** What it inherits from the event in whose handler it was made: JSON members of the options, with a comma behind each. */
  readonly inherited: string;
}

export class Exchanges {
  readonly #channel: RequestChannel;
  readonly #counts: RequestCounts;
  readonly #open = new Map<number, Exchange>();
  readonly #responders = new Recipients(addressOf);
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
  ask(question: Question, responder: string, isLocal: boolean, asker: Asker): Exchange {
    if (this.#open.size >= MAX_REQUESTS) {
      const message = `a client has at most ${MAX_REQUESTS} requests under way`;
      throw busError('ERR_BUS_QUEUE_FULL', message, { outcome: 'not_sent' });
    }
    const { type, data, options, inherited } = question;
    this.#last += 1;
    const exchange = new Exchange(this, this.#last, responder, isLocal, asker);
    const own = {
      to: this.#responders.find(responder),
      members: `${isLocal ? LOCAL : LIVE}${inherited}${options.members}`,
      isCaused: true,
      metadata: `${options.beforeId}${exchange.id}${options.behindId}`,
      timeout: options.publishTimeout,
      isQuiet: true,
    };
    this.#channel.post(type, data, own, exchange);
    this.#open.set(exchange.id, exchange);
    this.#counts.requestsSent += 1;
    return exchange;
  }

  /**
   * Nobody waits for the reply any more, and the responder is told. A reply that comes all the same counts as late. False
   * when it had ended before.
   */
  cancel(exchange: Exchange): boolean {
    if (!this.#open.delete(exchange.id)) return false;
    const own = {
      to: this.#responders.find(exchange.responder),
      members: exchange.isLocal ? LOCAL : LIVE,
      isCaused: false,
      metadata: `"cancel":${exchange.id}`,
      timeout: undefined,
      isQuiet: false,
    };
    try {
      this.#channel.post(CANCEL_TYPE, 'null', own, UNWATCHED);
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
      const receive = (event: OwnEvent) => this.#receive(event);
      const live = await this.#channel.listen(inboxOf(instanceId), receive, options);
      // A test bus notes what a handler is called with: there its handler is another one.
      if (live.handler === receive) live.receiver = receive;
      this.#subscribed = true;
    } catch (error) {
      this.#subscribing = undefined;
      throw error;
    }
  }

  #receive({ data, metadata }: OwnEvent): void {
    const reply = readReply(metadata);
    const exchange = reply && this.#open.get(reply.id);
    if (reply === undefined || (exchange && exchange.responder !== reply.responder)) {
      this.#counts.foreign += 1;
    } else if (exchange === undefined) {
      this.#counts.repliesLate += 1;
    } else if (reply.gone === true) {
      this.end(exchange, { kind: 'absent' });
    } else if (reply.error !== undefined) {
      this.end(exchange, { kind: 'error', error: errorOf(reply.error, reply.responder) });
    } else {
      this.end(exchange, { kind: 'data', data });
    }
  }

  /** Told that a request was published. */
  published(exchange: Exchange, result: PublishResult): void {
    if (!this.#open.has(exchange.id)) return;
    const { receivers, local, remote } = result;
    const { isLocal } = exchange;
    if (isLocal ? local === 0 : receivers === 0 && this.#isCounted(remote)) {
      this.end(exchange, { kind: 'absent' });
    } else if (!isLocal && (remote === 'not_sent' || remote === 'rejected')) {
      const message = 'the request could not be sent to the server';
      const error = busError('ERR_BUS_CONNECTION_LOST', message, { outcome: remote });
      this.end(exchange, { kind: 'unsent', error });
    }
  }

  /** Ends an exchange, unless it has ended. */
  end(exchange: Exchange, end: ExchangeEnd): void {
    if (this.#open.delete(exchange.id)) exchange.asker.ended(exchange, end);
  }

  /** Whether the number of receivers is that of all there are. */
  #isCounted(remote: PublishResult['remote']): boolean {
    return this.#channel.countsReceivers && (remote === undefined || remote === 'resolved');
  }
}
