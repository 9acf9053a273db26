/** A message that was sent, until its last answer. */

import { AsyncResource } from 'node:async_hooks';
import { busError, describe, HandlerError, member } from '../../errors';
import type { BegunRequest } from '../../request/requester';
import { processTimers, type Timer } from '../../runtime/timers';
import { errorFor, noteIn, type ReplyNote } from './protocol';
import { rpcException } from './rpc-exception';

/** For how long answers may come behind the reply, in ms: in a Cluster they may come on another connection. */
const LATE = 5000;

/** Where a client has those that are not over, by their numbers. */
export type Askings = Map<number, Asking>;

/** An answer, an error, or that there is no more. */
interface Packet {
  response?: unknown;
  err?: unknown;
  isDisposed?: boolean;
}

/** How Nest is told. It throws what a subclass of the client throws that reads answers in its own way. */
type Tell = (packet: Packet) => void;

/** It keeps the asynchronous context of who has asked, who is told in it of all that comes. */
export class Asking extends AsyncResource {
  readonly #tell: Tell;
  readonly #all: Askings;
  readonly #number: number;
  #begun: BegunRequest | undefined;
  #taken = 0;
  #isOver = false;
  #note: ReplyNote | undefined;
  #timer: Timer | undefined;

  constructor(tell: Tell, all: Askings, number: number) {
    super('OxbusAsking');
    this.#tell = tell;
    this.#all = all;
    this.#number = number;
    all.set(number, this);
  }

  /** The request is under way. */
  follow(begun: BegunRequest): void {
    this.#begun = begun;
    begun.reply.then(
      (reply) => this.#replied(reply),
      (error) => this.fail(exceptionOf(error)),
    );
  }

  #replied(reply: unknown): void {
    const note = noteIn(reply);
    if (note !== undefined) this.#noted(note);
    else if (this.#end()) this.#say({ response: reply, isDisposed: true });
  }

  /** Answers have come. One that is missing ends it: what was sent behind it comes in vain. */
  take(at: number, answers: readonly unknown[]): void {
    if (this.#isOver) return;
    if (at !== this.#taken) {
      this.fail(lost());
      return;
    }
    this.#taken += 1;
    for (const response of answers) if (!this.#isOver) this.#say({ response });
    this.#endIfComplete();
  }

  /** The reply says how many answers there are. */
  #noted(note: ReplyNote): void {
    if (this.#isOver) return;
    this.#note = note;
    if (this.#endIfComplete()) return;
    this.#timer = processTimers.set(() => this.fail(lost()), LATE);
  }

  fail(error: unknown): void {
    if (this.#end()) this.#say({ err: error });
  }

  /** Nobody waits any more. */
  takeBack(): void {
    if (this.#end()) this.#begun?.takeBack();
  }

  /** The client of Nest closes. */
  close(): void {
    this.fail(busError('ERR_BUS_CLOSED', 'the client of Nest is closed', { outcome: 'unknown' }));
    this.#begun?.takeBack();
  }

  #endIfComplete(): boolean {
    const note = this.#note;
    if (note === undefined || note.sent > this.#taken) return false;
    if ('error' in note) this.fail(rpcException(note.error));
    else if (this.#end()) this.#say({ isDisposed: true });
    return true;
  }

  /** Tells Nest. What cannot be told of an answer is the error of the message. */
  #say(packet: Packet): void {
    try {
      this.runInAsyncScope(this.#tell, undefined, packet);
    } catch (thrown) {
      this.#end();
      if (!('err' in packet)) this.#say({ err: thrown });
      else process.emitWarning(`the error of a message could not be told: ${describe(thrown)}`);
    }
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    if (this.#timer !== undefined) processTimers.clear(this.#timer);
    this.#all.delete(this.#number);
    return true;
  }
}

/** What the handler has failed with is an `RpcException`; what is of the bus stays so. */
function exceptionOf(error: unknown): unknown {
  if (!(error instanceof HandlerError) || error.code !== 'ERR_BUS_HANDLER_FAILED') return error;
  return rpcException(errorFor(member(error, 'cause') ?? error));
}

function lost(): Error {
  return busError('ERR_BUS_REQUEST_TIMEOUT', 'answers of the handler did not arrive', {
    outcome: 'unknown',
  });
}
