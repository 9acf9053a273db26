/** What a client has asked of its hub, until it is answered. */

import type { ErrorCode } from '../../../index';
import { busError, type EventBusError } from '../../errors';
import { clearTimeout, setTimeout } from '../../runtime/clock';
import type { Answer } from '../answer';
import { ASKS, type Ask } from '../protocol';

export interface AskLimits {
  /** In ms. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** Codes that a hub may answer with; of another version of the package there may be others. */
const INTERNAL = 'ERR_BUS_INTERNAL';

export class PendingAsk {
  readonly ask: Ask;
  readonly args: readonly unknown[];
  readonly answered: Promise<unknown>;
  isSent = false;
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #ended: () => void;

  /** `ended` is called once, when it has been answered, or is not waited for any more. */
  constructor(ask: Ask, args: readonly unknown[], limits: AskLimits, ended: () => void) {
    this.ask = ask;
    this.args = args;
    this.#ended = ended;
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (Number.isFinite(limits.timeout)) {
      this.#timer = setTimeout(() => this.#timedOut(limits.timeout), limits.timeout);
    }
    this.#signal = limits.signal;
    this.#signal?.addEventListener('abort', this.#aborted);
  }

  /** Sends it by `emit` of a socket. What cannot be written fails. */
  send(emit: (name: string, ...args: unknown[]) => unknown): void {
    const take = (answer: Answer) => this.take(answer);
    this.isSent = true;
    try {
      emit(ASKS[this.ask], ...this.args, take);
    } catch (cause) {
      this.isSent = false;
      const details = { outcome: 'not_sent', path: 'data', cause } as const;
      this.fail(busError('ERR_BUS_INVALID_DATA', 'data: cannot be written', details));
    }
  }

  take(answer: Answer): void {
    if (answer?.ok === true) {
      this.#end();
      this.#resolve(answer.value);
      return;
    }
    const {
      code = INTERNAL,
      message = 'the hub has given no reason',
      ...details
    } = answer?.error ?? {};
    this.fail(busError(code as ErrorCode, message, details as object));
  }

  /** The connection is lost. A publish may have been made; what can be asked again is. */
  lose(cause: EventBusError): void {
    if (!this.isSent) return;
    this.isSent = false;
    if (this.ask !== 'publish') return;
    const message = 'the connection to the hub was lost before it answered';
    this.fail(busError('ERR_BUS_CONNECTION_LOST', message, { outcome: 'unknown', cause }));
  }

  fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  get outcome(): 'not_sent' | 'unknown' {
    return this.isSent ? 'unknown' : 'not_sent';
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#aborted);
    this.#ended();
  }

  #timedOut(timeout: number): void {
    const code = this.ask === 'publish' ? 'ERR_BUS_PUBLISH_TIMEOUT' : 'ERR_BUS_COMMAND_TIMEOUT';
    const message = `the hub has not answered within ${timeout} ms`;
    this.fail(busError(code, message, { outcome: this.outcome }));
  }

  readonly #aborted = (): void => {
    const details = { outcome: this.outcome, cause: this.#signal?.reason } as const;
    this.fail(busError('ERR_BUS_ABORTED', 'the call was aborted', details));
  };
}
