/** Requests to one responder each. */

import { AsyncResource } from 'node:async_hooks';
import { busError, type EventBusError } from '../errors';
import type { Deadline, Deadlines } from '../runtime/deadlines';
import { aborted, onAbort } from '../runtime/signals';
import type { Timers } from '../runtime/timers';
import { type Choice, NONE } from './choice';
import type { RequestCounts } from './counts';
import {
  type Asker,
  type Exchange,
  type ExchangeEnd,
  type Exchanges,
  MAX_REQUESTS,
  type Question,
} from './exchanges';
import type { ResponderLists } from './responder-list';

/** What a request, to one or to all, works with. */
export interface RequesterParts {
  readonly timers: Timers;
  readonly deadlines: Deadlines;
  /** Whether each publish has hooks around it. */
  isTraced(): boolean;
  /** Why there was no connection at some time of a request whose `timeout` is over; undefined where there was one. */
  outageOf(timeout: number): EventBusError | undefined;
  readonly exchanges: Exchanges;
  readonly lists: ResponderLists;
  readonly choice: Choice;
  readonly counts: RequestCounts;
  /** The requests that are not over: each is told when the client closes. */
  readonly active: Set<{ close(): void }>;
  /** In hybrid mode the responders of this client, who are asked without the server. */
  localOf(type: string): readonly string[];
  /** Keeps the process alive until `unref`. */
  ref(): void;
  unref(): void;
}

const NOT_SENT = { outcome: 'not_sent' } as const;

/** Asks one of those who respond to the type. */
export function requestOne(parts: RequesterParts, question: Question): Promise<unknown> {
  checkRoom(parts);
  return new Promise((resolve, reject) => {
    new SingleRequest(parts, question, resolve, reject).start();
  });
}

/** A request to one of those who respond to the type, which can be taken back without a signal. */
export class BegunRequest {
  /** Rejects with `ABORTED` where it is taken back. */
  readonly reply: Promise<unknown>;
  #request: SingleRequest | undefined;
  #isTakenBack = false;

  /** Throws, or rejects, `QUEUE_FULL`. */
  constructor(parts: RequesterParts, question: Question | Promise<Question>) {
    this.reply =
      question instanceof Promise
        ? question.then((one) => this.#begin(parts, one))
        : this.#begin(parts, question);
  }

  /** Nothing happens where it is over. */
  takeBack(): void {
    this.#isTakenBack = true;
    this.#request?.takeBack();
  }

  #begin(parts: RequesterParts, question: Question): Promise<unknown> {
    checkRoom(parts);
    return new Promise((resolve, reject) => {
      this.#request = new SingleRequest(parts, question, resolve, reject);
      if (this.#isTakenBack) reject(aborted(undefined));
      else this.#request.start();
    });
  }
}

/** Throws `QUEUE_FULL` where too many requests are under way. */
export function checkRoom({ active }: RequesterParts): void {
  if (active.size < MAX_REQUESTS) return;
  const message = `a client has at most ${MAX_REQUESTS} requests under way`;
  throw busError('ERR_BUS_QUEUE_FULL', message, NOT_SENT);
}

export function noResponders(type: string, left = 0): Error {
  const why = left === 0 ? '' : `: the ${left} that were listed have left`;
  const message = `nobody responds to ${JSON.stringify(type)}${why}`;
  return busError('ERR_BUS_NO_RESPONDERS', message, NOT_SENT);
}

/** Nothing has come in time; from `responder`, if one was asked. `outage` is why there was no connection, if there was none. */
export function requestTimeout(
  type: string,
  timeout: number,
  responder: string | undefined,
  outage: EventBusError | undefined,
): Error {
  const what = JSON.stringify(type);
  const happened =
    responder === undefined
      ? `no responder of ${what} could be asked in ${timeout} ms`
      : `the responder ${responder} of ${what} has not answered in ${timeout} ms`;
  const outcome = responder === undefined ? 'not_sent' : 'unknown';
  if (outage !== undefined) {
    const message = `${happened}: this client had no connection to the server: ${outage.message}`;
    return busError('ERR_BUS_REQUEST_TIMEOUT', message, { outcome, responder, cause: outage });
  }
  const why = responder === undefined ? '' : ': it is busy, or it ended without leaving';
  return busError('ERR_BUS_REQUEST_TIMEOUT', `${happened}${why}`, { outcome, responder });
}

class SingleRequest implements Asker {
  readonly #parts: RequesterParts;
  readonly #question: Question;
  readonly #resolve: (data: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #exchange: Exchange | undefined;
  #tried: Set<string> | undefined;
  #deadline: Deadline | undefined;
  #stopWaiting: (() => void) | undefined;
  #over = false;

  constructor(
    parts: RequesterParts,
    question: Question,
    resolve: (data: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#parts = parts;
    this.#question = question;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { deadlines, active } = this.#parts;
    const { timeout, signal } = this.#question.options;
    this.#parts.ref();
    active.add(this);
    // Where it is traced, what takes it back belongs to the span of its caller.
    const call = this.#parts.isTraced()
      ? { timedOut: AsyncResource.bind(() => this.timedOut()) }
      : this;
    this.#deadline = deadlines.set(call, timeout);
    if (signal !== undefined) {
      this.#stopWaiting = onAbort(signal, () => this.#giveUp(aborted(signal)));
    }
    this.#next();
  }

  /** Nobody waits for the reply any more. */
  takeBack(): void {
    this.#giveUp(aborted(undefined));
  }

  /** The client closes. */
  close(): void {
    this.#giveUp(busError('ERR_BUS_CLOSED', 'the client is closed', this.#outcome()));
  }

  /** Asks the next responder: at once, if one is known. */
  #next(): void {
    if (this.#over) return;
    const { exchanges, lists } = this.#parts;
    const { type } = this.#question;
    if (exchanges.isReady && (this.#askLocal() || this.#askOneOf(lists.known(type)))) return;
    this.#find().catch((error) => this.#fail(error));
  }

  async #find(): Promise<void> {
    const { exchanges, lists } = this.#parts;
    const { type } = this.#question;
    await exchanges.ready();
    if (this.#over || this.#askLocal() || this.#askOneOf(await lists.ask(type))) return;
    // The question may have been under way before this request was made, so its answer does not show that there is nobody.
    if (this.#over || this.#askOneOf(await lists.askAnew(type))) return;
    if (!this.#over) throw noResponders(type, this.#tried?.size);
  }

  #askLocal(): boolean {
    const responder = this.#parts.choice.among(
      this.#parts.localOf(this.#question.type),
      this.#tried ?? NONE,
    );
    return responder !== undefined && this.#ask(responder, true);
  }

  #askOneOf(listed: readonly string[] | undefined): boolean {
    if (this.#over) return true;
    if (listed === undefined) return false;
    const responder = this.#parts.choice.among(listed, this.#tried ?? NONE);
    return responder !== undefined && this.#ask(responder, false);
  }

  #ask(responder: string, isLocal: boolean): true {
    const { exchanges, choice } = this.#parts;
    try {
      this.#exchange = exchanges.ask(this.#question, responder, isLocal, this);
      choice.asked(responder);
    } catch (error) {
      this.#fail(error);
    }
    return true;
  }

  ended({ responder }: Exchange, end: ExchangeEnd): void {
    const { choice, lists } = this.#parts;
    this.#exchange = undefined;
    choice.over(responder);
    if (end.kind === 'absent') {
      lists.remove(this.#question.type, responder);
      this.#tried ??= new Set();
      this.#tried.add(responder);
      this.#next();
      return;
    }
    if (end.kind === 'unsent') {
      this.#fail(end.error);
      return;
    }
    choice.answered(responder);
    this.#finish();
    if (end.kind === 'data') this.#resolve(end.data);
    else this.#reject(end.error);
  }

  timedOut(): void {
    const responder = this.#exchange?.responder;
    const { type, options } = this.#question;
    this.#parts.counts.requestsTimedOut += 1;
    if (responder !== undefined) this.#parts.choice.timedOut(responder);
    const outage = this.#parts.outageOf(options.timeout);
    this.#giveUp(requestTimeout(type, options.timeout, responder, outage));
  }

  /** Ends it, and tells the responder. */
  #giveUp(error: unknown): void {
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      this.#exchange = undefined;
      this.#parts.choice.over(exchange.responder);
      this.#parts.exchanges.cancel(exchange);
    }
    this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#finish();
    this.#reject(error);
  }

  #finish(): void {
    this.#over = true;
    this.#parts.deadlines.clear(this.#deadline);
    this.#parts.active.delete(this);
    this.#parts.unref();
    // This comes last, as it runs code of the user's signal.
    this.#stopWaiting?.();
  }

  #outcome(): { outcome: 'unknown' | 'not_sent' } {
    return this.#exchange === undefined ? NOT_SENT : { outcome: 'unknown' };
  }
}
