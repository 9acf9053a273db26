/** Answers the requests of one handler: so many at once, some more wait, and the rest is refused. */

import { AsyncResource } from 'node:async_hooks';
import type { BusEvent, HandlerContext, PublishResult } from '../../index';
import type { DataText } from '../client/publishing';
import { busError, describe, EventBusError } from '../errors';
import { callIn } from '../handle/current-event';
import { CallContext } from '../handle/handler-context';
import type { PublishWatcher } from '../publish/batch';
import type { OwnOptions } from '../publish/publish-options';
import type { Deadline, Deadlines, TimedCall } from '../runtime/deadlines';
import { isThenable } from '../runtime/promises';
import type { RequestCounts } from './counts';
import { IncomingRequest, keyOf } from './incoming-request';
import {
  askerOf,
  CANCEL_TYPE,
  inboxOf,
  LIVE,
  LOCAL,
  REPLY_TYPE,
  Recipients,
  readCancel,
} from './protocol';
import type { ParsedRespondOptions } from './request-options';
import { noteOf, type ThrownError } from './thrown-error';

type Handler = (event: BusEvent, context: HandlerContext) => unknown;

/** What a responder needs of the client. */
export interface ResponderOwner {
  readonly instanceId: string;
  readonly deadlines: Deadlines;
  /** Whether code that belongs to an event runs in its context. */
  readonly inherits: boolean;
  /** Whether each publish has hooks around it. */
  isTraced(): boolean;
  readonly isHybrid: boolean;
  readonly countsReceivers: boolean;
  /** So many bytes of data are surely not too large, in whatever reply. */
  readonly surelyFits: number;
  readonly counts: RequestCounts;
  /** The data of a reply as it crosses. Throws `INVALID_DATA`. */
  write(type: string, data: unknown): DataText;
  send(type: string, data: DataText, options: OwnOptions): Promise<PublishResult>;
  post(type: string, data: DataText, options: OwnOptions, watcher: PublishWatcher): void;
  /** Told of a reply that could not be sent. */
  unsent(type: string, error: unknown): void;
}

/** Why a handler has not answered. */
type Refusal = { readonly error: ThrownError } | 'gone';

/** What a character of a text takes in UTF-8 at the most, in bytes. */
const BYTES_OF_CHARACTER = 3;

interface Waiting {
  readonly call: IncomingRequest;
  /** Ends the wait: with the outcome of the handler, or with that of a refusal. */
  start(): void;
  end(): void;
}

export class RequestHandler {
  readonly id: string;
  readonly type: string;
  readonly #owner: ResponderOwner;
  readonly #handler: Handler;
  /** The text of the metadata of a reply before the id of the request. */
  readonly #beforeId: string;
  readonly #localAsker: string | undefined;
  readonly #options: ParsedRespondOptions;
  readonly #running = new Map<string, IncomingRequest>();
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Waiting>();
  /** How many handlers run, those that are out of time not counted. */
  #busy = 0;
  #isStarting = false;
  readonly #askers = new Recipients(inboxOf);
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
    this.#beforeId = `"reply":{"responder":${JSON.stringify(id)},"id":`;
    this.#localAsker = owner.isHybrid ? owner.instanceId : undefined;
    this.type = type;
    this.#handler = handler;
    this.#options = options;
  }

  /** What came on the channel of the responder. Ends when that is answered. */
  receive(event: BusEvent, context: HandlerContext): Promise<void> | undefined {
    const call = IncomingRequest.read(event, context, this.type, this.#localAsker);
    if (call === undefined) return this.#take(event);
    if (this.#isLeaving) return this.#refuse(call, 'gone');
    if (this.#busy < this.#options.concurrency) return this.#run(call);
    if (this.#waiting.size >= this.#options.maxQueued) {
      const { concurrency, maxQueued } = this.#options;
      const message = `the responder runs ${concurrency} handlers, and ${maxQueued} requests wait`;
      return this.#refuse(call, { error: noteOf(busError('ERR_BUS_QUEUE_FULL', message)) });
    }
    return new Promise((resolve, reject) => {
      // It runs later, in the context in which it came.
      const start = AsyncResource.bind(() => {
        try {
          resolve(this.#run(call));
        } catch (error) {
          reject(error);
        }
      });
      this.#waiting.set(call.key, { call, start, end: resolve });
    });
  }

  /** From here on no handler begins: those who wait, and who come, are told to ask another responder. */
  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    for (const { call, end } of this.#waiting.values()) {
      this.#refuse(call, 'gone');
      end();
    }
    this.#waiting.clear();
  }

  /** What comes on the channel and is no request. */
  #take({ type, metadata }: BusEvent): undefined {
    const asker = askerOf(metadata);
    const cancelled = type === CANCEL_TYPE ? readCancel(metadata) : undefined;
    if (asker === undefined || cancelled === undefined) this.#owner.counts.foreign += 1;
    else this.#cancel(keyOf(asker, cancelled));
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

  /** Calls the handler. Throws what it throws; a promise only where it has returned one, or its reply is waited for. */
  #run(call: IncomingRequest): Promise<void> | undefined {
    this.#busy += 1;
    this.#owner.counts.requestsHandled += 1;
    let result: unknown;
    try {
      result = this.#handler(call.event, call.context);
      if (isThenable(result)) return this.#awaited(call, result);
    } catch (thrown) {
      this.#ended(call);
      this.#reply(call, 'null', { error: noteOf(thrown) });
      throw thrown;
    }
    this.#ended(call);
    return this.#answer(call, result);
  }

  /** Waits for what a handler has returned, and for no longer than it may take: then its signal is aborted, and its result is ignored. */
  #awaited(call: IncomingRequest, result: PromiseLike<unknown>): Promise<void> {
    this.#running.set(call.key, call);
    const { deadlines } = this.#owner;
    return new Promise((resolve, reject) => {
      let deadline: Deadline | undefined;
      let isOver = false;
      const end = <T>(
        finish: (call: IncomingRequest, value: T) => Promise<void> | undefined,
        value: T,
      ) => {
        if (isOver) return;
        isOver = true;
        deadlines.clear(deadline);
        this.#ended(call);
        try {
          resolve(finish(call, value));
        } catch (error) {
          reject(error);
        }
      };
      const { timeout } = this.#options;
      if (timeout > 0) {
        const timedOut = () => {
          const error = this.#timeoutError(timeout);
          const own = this.#owner.inherits ? call.event : undefined;
          callIn(own, CallContext.abort, call.context as CallContext, error);
          end(this.#failed, error);
        };
        // Where it is traced, the span of the reply belongs to that of the handler.
        const timed: TimedCall = {
          timedOut: this.#owner.isTraced() ? AsyncResource.bind(timedOut) : timedOut,
        };
        // The responder keeps the process alive, and its client may close before the handler has ended.
        deadline = deadlines.set(timed, timeout);
      }
      const failed = (thrown: unknown) => end(this.#failed, thrown);
      Promise.resolve(result).then((data) => end(this.#succeeded, data), failed);
    });
  }

  readonly #succeeded = (call: IncomingRequest, data: unknown): Promise<void> | undefined =>
    call.isCancelled ? undefined : this.#answer(call, data);

  readonly #failed = (call: IncomingRequest, thrown: unknown): undefined => {
    // A handler that stops because its signal has told it to has not failed.
    if (call.isCancelled) return;
    this.#reply(call, 'null', { error: noteOf(thrown) });
    throw thrown;
  };

  #timeoutError(timeout: number): EventBusError {
    const what = `the handler of requests ${JSON.stringify(this.type)}`;
    return busError('ERR_BUS_HANDLER_TIMEOUT', `${what} did not finish in ${timeout} ms`);
  }

  #ended(call: IncomingRequest): void {
    this.#busy -= 1;
    if (this.#running.size > 0 && this.#running.get(call.key) === call) {
      this.#running.delete(call.key);
    }
    if (this.#waiting.size > 0) this.#startWaiting();
  }

  /** In a loop: a handler that returns at once would begin the next one within itself, as deep as many wait. */
  #startWaiting(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#busy < this.#options.concurrency) {
      const [next] = this.#waiting.values();
      if (next === undefined) break;
      this.#waiting.delete(next.call.key);
      next.start();
    }
    this.#isStarting = false;
  }

  /**
   * Sends what a handler has returned; what cannot be sent is an error of the handler. Nobody waits until the reply is sent,
   * unless the engine may find that it is too large, or no JSON.
   */
  #answer(call: IncomingRequest, data: unknown): Promise<void> | undefined {
    let text: DataText;
    try {
      text = data === undefined ? 'null' : this.#owner.write(this.type, data);
    } catch (error) {
      this.#reply(call, 'null', { error: noteOf(error) });
      throw error;
    }
    // Where it is traced, the span of the handler covers that of the reply.
    if (this.#owner.isTraced() || !this.#isSure(text)) return this.#tryAnswer(call, text);
    this.#reply(call, text, undefined);
    return undefined;
  }

  /** Whether data is JSON that surely fits. */
  #isSure(data: DataText): boolean {
    if (typeof data !== 'string' || data.startsWith(' ')) return false;
    return data.length * BYTES_OF_CHARACTER <= this.#owner.surelyFits;
  }

  async #tryAnswer(call: IncomingRequest, data: DataText): Promise<void> {
    const watcher = call.isLocal ? this.#localReply : this.#farReply;
    let sent: PublishResult;
    try {
      sent = await this.#owner.send(REPLY_TYPE, data, this.#replyOptions(call, undefined));
    } catch (error) {
      if (error instanceof EventBusError && error.category === 'validation') {
        this.#reply(call, 'null', { error: noteOf(error) });
        throw error;
      }
      watcher.failed(error as EventBusError);
      return;
    }
    watcher.published(sent);
  }

  #refuse(call: IncomingRequest, why: Refusal): undefined {
    this.#owner.counts.requestsRefused += 1;
    this.#reply(call, 'null', why);
  }

  #reply(call: IncomingRequest, data: DataText, refusal: Refusal | undefined): void {
    const watcher = call.isLocal ? this.#localReply : this.#farReply;
    try {
      this.#owner.post(REPLY_TYPE, data, this.#replyOptions(call, refusal), watcher);
    } catch (error) {
      this.#lost(error);
    }
  }

  #replyOptions(call: IncomingRequest, refusal: Refusal | undefined): OwnOptions {
    const { asker, id, isLocal, correlationId, causationId } = call;
    const cause = JSON.stringify(causationId);
    const correlation = correlationId === causationId ? cause : JSON.stringify(correlationId);
    const inherited = `"correlationId":${correlation},"causationId":${cause},`;
    return {
      to: this.#askers.find(asker),
      members: `${isLocal ? LOCAL : LIVE}${inherited}`,
      isCaused: true,
      metadata: `${this.#beforeId}${id}${refusal === undefined ? '}' : endOf(refusal)}`,
      timeout: undefined,
      // Of one that leaves, nothing may come later.
      isQuiet: !this.#isLeaving,
    };
  }

  readonly #localReply: PublishWatcher = {
    published: ({ local }) => {
      if (local === 0) this.#lost(undefined);
    },
    failed: (error) => this.#lost(error),
  };

  readonly #farReply: PublishWatcher = {
    published: ({ receivers, remote = 'resolved' }) => {
      const isLost = receivers === 0 && this.#owner.countsReceivers;
      if (isLost || remote !== 'resolved') this.#lost(undefined);
    },
    failed: (error) => this.#lost(error),
  };

  /** A reply was not sent, or nobody has received it. */
  #lost(error: unknown): void {
    this.#owner.counts.repliesUndelivered += 1;
    if (error !== undefined) this.#owner.unsent(this.type, describe(error));
  }
}

/** What a reply says instead of data. */
function endOf(refusal: Refusal): string {
  return refusal === 'gone' ? ',"gone":true}' : `,"error":${JSON.stringify(refusal.error)}}`;
}
