/** A message that was sent, until its last answer. */

import { busError } from '../../errors';
import { processTimers, type Timer } from '../../runtime/timers';
import type { ReplyNote } from './protocol';
import { rpcException } from './rpc-exception';

/** For how long answers may come behind the reply, in ms: in a Cluster they may come on another connection. */
const LATE = 5000;

/** What Nest is told: an answer, an error, or that there is no more. */
type Tell = (packet: { response?: unknown; err?: unknown; isDisposed?: boolean }) => void;

export class Asking {
  readonly #tell: Tell;
  readonly #over: () => void;
  #taken = 0;
  #isOver = false;
  #note: ReplyNote | undefined;
  #timer: Timer | undefined;

  constructor(tell: Tell, over: () => void) {
    this.#tell = tell;
    this.#over = over;
  }

  /** The reply is the only answer. */
  only(reply: unknown): void {
    if (this.#end()) this.#tell({ response: reply, isDisposed: true });
  }

  /** Answers have come. One that is missing ends it: what was sent behind it comes in vain. */
  take(at: number, answers: readonly unknown[]): void {
    if (this.#isOver) return;
    if (at !== this.#taken) {
      this.fail(lost());
      return;
    }
    this.#taken += 1;
    for (const response of answers) if (!this.#isOver) this.#tell({ response });
    this.#endIfComplete();
  }

  /** The reply says how many answers there are. */
  end(note: ReplyNote): void {
    if (this.#isOver) return;
    this.#note = note;
    if (this.#endIfComplete()) return;
    this.#timer = processTimers.set(() => this.fail(lost()), LATE);
  }

  fail(error: unknown): void {
    if (this.#end()) this.#tell({ err: error });
  }

  /** Nobody waits any more. */
  forget(): void {
    this.#end();
  }

  #endIfComplete(): boolean {
    const note = this.#note;
    if (note === undefined || note.sent > this.#taken) return false;
    if ('error' in note) this.fail(rpcException(note.error));
    else if (this.#end()) this.#tell({ isDisposed: true });
    return true;
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    if (this.#timer !== undefined) processTimers.clear(this.#timer);
    this.#over();
    return true;
  }
}

function lost(): Error {
  return busError('ERR_BUS_REQUEST_TIMEOUT', 'answers of the handler did not arrive', {
    outcome: 'unknown',
  });
}
