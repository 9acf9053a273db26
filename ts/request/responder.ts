/** Answers the requests of one handler: so many at once, some more wait, and the rest is refused. */

import { AsyncResource } from 'node:async_hooks';
import type { BusEvent, HandlerContext, PublishOptions, PublishResult } from '../../index';
import type { DataText } from '../client/publishing';
import { busError, describe, EventBusError } from '../errors';
import { CallContext } from '../handle/handler-context';
import { mayBeThenable } from '../runtime/promises';
import type { Timers } from '../runtime/timers';
import type { RequestCounts } from './counts';
import {
  askerOf,
  CANCEL_TYPE,
  inboxOf,
  REPLY_TYPE,
  type ReplyNote,
  readCancel,
  readRequest,
} from './protocol';
import type { ParsedRespondOptions } from './request-options';
import { noteOf } from './thrown-error';

type Handler = (event: BusEvent, context: HandlerContext) => unknown;

/** What a responder needs of the client. */
export interface ResponderOwner {
  readonly instanceId: string;
  readonly timers: Timers;
  readonly isHybrid: boolean;
  readonly countsReceivers: boolean;
  readonly counts: RequestCounts;
  /** The data of a reply as it crosses. Throws `INVALID_DATA`. */
  write(type: string, data: unknown): DataText;
  send(type: string, data: DataText, options: PublishOptions, user: string): Promise<PublishResult>;
  /** Told of a reply that could not be sent. */
  unsent(type: string, error: unknown): void;
}

/** A request that waits, or whose handler runs. */
interface Call {
  readonly event: BusEvent;
  readonly context: HandlerContext;
  /** The client that has asked, and the id that it gave the request. */
  readonly asker: string;
  readonly id: number;
  readonly key: string;
  readonly isLocal: boolean;
  /** As they were before the handler had the event. */
  readonly inherited: { correlationId: string; causationId: string };
  /** The requester does not wait any more. */
  isCancelled: boolean;
}

interface Waiting {
  readonly call: Call;
  /** Ends the wait: with the outcome of the handler, or with that of a refusal. */
  start(): void;
  end(): void;
}

export class RequestHandler {
  readonly id: string;
  readonly type: string;
  readonly #owner: ResponderOwner;
  readonly #handler: Handler;
  readonly #options: ParsedRespondOptions;
  readonly #running = new Map<string, Call>();
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Waiting>();
  /** How many handlers run, those that are out of time not counted. */
  #busy = 0;
  #isLeaving = false;

  constructor(
    owner: ResponderOwner,
    id: string,
    type: string,
    handler: Handler,
    options: ParsedRespondOptions,
  ) {
    this.#owner = owner;
    this.id = id;
    this.type = type;
    this.#handler = handler;
    this.#options = options;
  }

  /** What came on the channel of the responder. Ends when that is answered. */
  receive(event: BusEvent, context: HandlerContext): Promise<void> | undefined {
    const call = this.#read(event, context);
    if (call === undefined) return undefined;
    if (this.#isLeaving) return this.#refuse(call, { gone: true });
    if (this.#busy < this.#options.concurrency) return this.#run(call);
    if (this.#waiting.size >= this.#options.maxQueued) {
      const { concurrency, maxQueued } = this.#options;
      const message = `the responder runs ${concurrency} handlers, and ${maxQueued} requests wait`;
      return this.#refuse(call, { error: noteOf(busError('ERR_BUS_QUEUE_FULL', message)) });
    }
    return new Promise((resolve, reject) => {
      // It runs later, in the context in which it came.
      const start = AsyncResource.bind(() => this.#run(call).then(resolve, reject));
      this.#waiting.set(call.key, { call, start: () => void start(), end: resolve });
    });
  }

  /** From here on no handler begins: those who wait, and who come, are told to ask another responder. */
  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    for (const { call, end } of this.#waiting.values()) {
      void this.#refuse(call, { gone: true }).then(end);
    }
    this.#waiting.clear();
  }

  /** A request; undefined for anything else, which is dealt with. */
  #read(event: BusEvent, context: HandlerContext): Call | undefined {
    const { metadata, type, id: causationId } = event;
    const asker = askerOf(metadata);
    const request = type === this.type ? readRequest(metadata) : undefined;
    if (asker !== undefined && request !== undefined) {
      const { id } = request;
      const key = `${asker} ${id}`;
      const isLocal = this.#owner.isHybrid && asker === this.#owner.instanceId;
      const inherited = { correlationId: metadata.correlationId, causationId };
      return { event, context, asker, id, key, isLocal, inherited, isCancelled: false };
    }
    const cancelled = type === CANCEL_TYPE ? readCancel(metadata) : undefined;
    if (asker === undefined || cancelled === undefined) this.#owner.counts.foreign += 1;
    else this.#cancel(`${asker} ${cancelled}`);
    return undefined;
  }

  /** Nobody waits for the answer: the handler is told, or is never called. */
  #cancel(key: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      this.#waiting.delete(key);
      waiting.end();
      return;
    }
    const call = this.#running.get(key);
    if (call === undefined) return;
    call.isCancelled = true;
    const message = 'the client that has made the request does not wait for its answer any more';
    CallContext.abort(call.context as CallContext, busError('ERR_BUS_ABORTED', message));
  }

  async #run(call: Call): Promise<void> {
    this.#busy += 1;
    this.#running.set(call.key, call);
    this.#owner.counts.requestsHandled += 1;
    let data: unknown;
    try {
      const result = this.#handler(call.event, call.context);
      data = mayBeThenable(result) ? await this.#inTime(call, result) : result;
    } catch (thrown) {
      this.#ended(call);
      // A handler that stops because its signal has told it to has not failed.
      if (call.isCancelled) return;
      await this.#reply(call, 'null', { error: noteOf(thrown) });
      throw thrown;
    }
    this.#ended(call);
    if (!call.isCancelled) await this.#answer(call, data);
  }

  #ended(call: Call): void {
    this.#busy -= 1;
    if (this.#running.get(call.key) === call) this.#running.delete(call.key);
    const [next] = this.#waiting.values();
    if (next === undefined || this.#busy >= this.#options.concurrency) return;
    this.#waiting.delete(next.call.key);
    next.start();
  }

  /** The result of a handler, or `HANDLER_TIMEOUT`: then its signal is aborted, and its result is ignored. */
  #inTime(call: Call, result: unknown): unknown {
    const { timeout } = this.#options;
    if (timeout === 0) return result;
    const { timers } = this.#owner;
    return new Promise((resolve, reject) => {
      const timer = timers.set(() => {
        const message = `the handler of requests ${JSON.stringify(this.type)} did not finish in ${timeout} ms`;
        const error = busError('ERR_BUS_HANDLER_TIMEOUT', message);
        reject(error);
        CallContext.abort(call.context as CallContext, error);
      }, timeout);
      // The responder keeps the process alive, and its client may close before the handler has ended.
      timer.unref();
      const settle = (run: () => void) => {
        timers.clear(timer);
        run();
      };
      Promise.resolve(result).then(
        (data) => settle(() => resolve(data)),
        (error) => settle(() => reject(error)),
      );
    });
  }

  /** Sends what a handler has returned; what cannot be sent is an error of the handler. */
  async #answer(call: Call, data: unknown): Promise<void> {
    try {
      const text = data === undefined ? 'null' : this.#owner.write(this.type, data);
      await this.#reply(call, text, undefined);
    } catch (error) {
      await this.#reply(call, 'null', { error: noteOf(error) });
      throw error;
    }
  }

  async #refuse(call: Call, note: Partial<ReplyNote>): Promise<void> {
    this.#owner.counts.requestsRefused += 1;
    await this.#reply(call, 'null', note);
  }

  /** Rejects only where the data is not as a publish takes it. */
  async #reply(call: Call, data: DataText, note: Partial<ReplyNote> | undefined): Promise<void> {
    const { asker, id, isLocal, inherited } = call;
    const reply: ReplyNote = { id, responder: this.id, ...note };
    const options: PublishOptions = {
      ...inherited,
      metadata: { reply },
      durable: false,
      ...(isLocal && { localOnly: true }),
    };
    try {
      const sent = await this.#owner.send(REPLY_TYPE, data, options, inboxOf(asker));
      const { receivers, local, remote = 'resolved' } = sent;
      const isLost = receivers === 0 && this.#owner.countsReceivers;
      if (isLocal ? local === 0 : isLost || remote !== 'resolved') this.#lost();
    } catch (error) {
      if (error instanceof EventBusError && error.category === 'validation') throw error;
      this.#lost();
      this.#owner.unsent(this.type, describe(error));
    }
  }

  #lost(): void {
    this.#owner.counts.repliesUndelivered += 1;
  }
}
