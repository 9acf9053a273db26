/** Waits at the end of a stream for what is stored next. */

import { setTimeout as delay } from 'node:timers/promises';
import type { EventBusConfig } from '../../index';
import { addressOf } from '../doctor/address';
import { ReplyError } from '../doctor/reply';
import { Servers } from '../doctor/servers';

/** The server holds the question back for so long, in ms; then it is asked anew, so that one that is gone is noticed. */
const BLOCK = 10_000;
/** How late the answer may be, in ms. */
const LATE = 5000;
/** The most bytes of an entry. */
const MAX_ENTRY = 512 << 20;
/** Between two looks where the server cannot be asked, or refuses, in ms. */
const [UNREACHABLE, REFUSED] = [500, 200];

/** It has a connection of its own, as a blocked command holds up all that follow it. */
export class StreamEnd {
  readonly #config: EventBusConfig;
  readonly #stream: string;
  readonly #signal: AbortSignal;
  readonly #close = () => this.close();
  #servers: Servers | undefined;

  /** `stream` is its key. */
  constructor(config: EventBusConfig, stream: string, signal: AbortSignal) {
    this.#config = config;
    this.#stream = stream;
    this.#signal = signal;
    signal.addEventListener('abort', this.#close, { once: true });
  }

  /** Resolves when the stream may hold an entry behind this id, and when the signal aborts. Never rejects. */
  async passes(id: string): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        if ((await this.#next(id)) !== null) return;
      } catch (error) {
        const isRefused = error instanceof ReplyError;
        if (!isRefused) this.#leave();
        const pause = isRefused ? REFUSED : UNREACHABLE;
        await delay(pause, undefined, { signal: this.#signal }).catch(() => {});
        return;
      }
    }
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#close);
    this.#leave();
  }

  /** The next entry behind an id, or null where none has come in time. */
  async #next(id: string) {
    const address = addressOf(this.#config, process.env);
    if (address === undefined) throw new Error('no server is named');
    const options = { timeout: BLOCK + LATE, maxReply: MAX_ENTRY };
    this.#servers ??= await Servers.open(address, options);
    // While it was being opened.
    if (this.#signal.aborted) this.#leave();
    const words = ['XREAD', 'COUNT', '1', 'BLOCK', String(BLOCK), 'STREAMS', this.#stream, id];
    return this.#servers?.command(...words);
  }

  #leave(): void {
    this.#servers?.close();
    this.#servers = undefined;
  }
}
