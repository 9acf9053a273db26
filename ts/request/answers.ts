/** A request to all responders of a type, whose answers come as an async iterator. */

import type { Answer, Answers } from '../../index';
import { type CallTrace, stackFromCaller } from '../caller-stacks';
import { busError } from '../errors';
import { END, NextWaiters } from '../runtime/next-waiters';
import { onAbort } from '../runtime/signals';
import type { Timer } from '../runtime/timers';
import type { Asker, Exchange, ExchangeEnd, Question } from './exchanges';
import { checkRoom, noResponders, type RequesterParts, requestTimeout } from './requester';

export class AllAnswers<R> implements Answers<R>, Asker {
  readonly #parts: RequesterParts;
  readonly #line: CallTrace;
  /** At most one for each responder. */
  #buffer: Answer<R>[] = [];
  readonly #waiting = new NextWaiters<Answer<R>>();
  readonly #asked = new Map<string, Exchange>();
  /** Delivered behind the answers. */
  #failure: { error: unknown } | undefined;
  #question: Question | undefined;
  #timer: Timer | undefined;
  #stopWaiting: (() => void) | undefined;
  /** Whether all who are to be asked were asked. */
  #complete = false;
  #answers = 0;
  #left = 0;
  #over = false;

  /** `read` gives the question, or throws why there is none; `line` is where the user has made the call. */
  constructor(parts: RequesterParts, line: CallTrace, read: () => Question | Promise<Question>) {
    this.#parts = parts;
    this.#line = line;
    parts.ref();
    this.#begin(read).catch((error) => this.#fail(error));
  }

  next(): Promise<IteratorResult<Answer<R>, undefined>> {
    const answer = this.#buffer.shift();
    if (answer !== undefined) return Promise.resolve({ done: false, value: answer });
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      return Promise.reject(failure.error);
    }
    if (this.#over) return Promise.resolve(END);
    return this.#waiting.wait();
  }

  async return(): Promise<IteratorResult<Answer<R>, undefined>> {
    this.#cancel();
    this.#buffer = [];
    this.#failure = undefined;
    this.#finish();
    return END;
  }

  async throw(error?: unknown): Promise<IteratorResult<Answer<R>, undefined>> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The client closes. */
  close(): void {
    this.#cancel();
    this.#fail(busError('ERR_BUS_CLOSED', 'the client is closed'));
  }

  async #begin(read: () => Question | Promise<Question>): Promise<void> {
    checkRoom(this.#parts);
    this.#parts.active.add(this);
    const reading = read();
    const question = reading instanceof Promise ? await reading : reading;
    if (this.#over) return;
    this.#question = question;
    const { type, options } = question;
    this.#timer = this.#parts.timers.set(() => this.#timedOut(), options.timeout);
    if (options.signal !== undefined) {
      this.#stopWaiting = onAbort(options.signal, () => void this.return());
    }
    await this.#parts.exchanges.ready();
    for (const responder of this.#parts.localOf(type)) this.#ask(question, responder, true);
    let failure: { error: unknown } | undefined;
    try {
      const listed = await this.#parts.lists.askAnew(type);
      for (const responder of listed) {
        if (!this.#asked.has(responder)) this.#ask(question, responder, false);
      }
    } catch (error) {
      failure = { error };
    }
    this.#complete = true;
    this.#failure ??= failure;
    this.#endIfComplete();
  }

  #ask(question: Question, responder: string, isLocal: boolean): void {
    if (this.#over) return;
    try {
      const exchange = this.#parts.exchanges.ask(question, responder, isLocal, this);
      this.#asked.set(responder, exchange);
      this.#left += 1;
      this.#parts.choice.asked(responder);
    } catch (error) {
      this.#push({ responder, error: error as Error });
    }
  }

  ended({ responder }: Exchange, end: ExchangeEnd): void {
    this.#left -= 1;
    this.#parts.choice.over(responder);
    // One that has left is no responder: it gives no answer, and is not waited for.
    if (end.kind === 'data') this.#push({ responder, data: end.data as R });
    else if (end.kind !== 'absent') this.#push({ responder, error: end.error as Error });
    this.#endIfComplete();
  }

  #timedOut(): void {
    const { type, options } = this.#question as Question;
    const outage = this.#parts.outageOf(options.timeout);
    this.#parts.counts.requestsTimedOut += 1;
    if (!this.#complete && this.#asked.size === 0) {
      this.#fail(requestTimeout(type, options.timeout, undefined, outage));
      return;
    }
    for (const responder of this.#cancel()) {
      this.#push({ responder, error: requestTimeout(type, options.timeout, responder, outage) });
    }
    this.#finish();
  }

  /** Takes the request back from those who have not answered, and returns them. */
  #cancel(): string[] {
    const silent: string[] = [];
    for (const [responder, exchange] of this.#asked) {
      if (!this.#parts.exchanges.cancel(exchange)) continue;
      this.#parts.choice.over(responder);
      silent.push(responder);
    }
    return silent;
  }

  #push(answer: Answer<R>): void {
    this.#answers += 1;
    if (!this.#waiting.give(answer)) this.#buffer.push(answer);
  }

  #endIfComplete(): void {
    if (!this.#complete || this.#left > 0 || this.#over) return;
    if (this.#answers === 0 && this.#failure === undefined) {
      this.#fail(noResponders((this.#question as Question).type, this.#asked.size));
    } else {
      this.#finish();
    }
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#failure = { error: stackFromCaller(error, AllAnswers, this.#line) };
    this.#finish();
  }

  /** No answer comes from here on. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#parts.timers.clear(this.#timer);
    this.#parts.active.delete(this);
    this.#parts.unref();
    const failure = this.#failure;
    if (failure !== undefined && this.#waiting.fail(failure.error)) this.#failure = undefined;
    this.#waiting.end();
    // This comes last, as it runs code of the user's signal.
    this.#stopWaiting?.();
  }
}
