/** One client of `/stream`: what waits for it is bounded, and one that does not read is dropped. */

import type { OpenStream, StreamSink } from './answer';
import type { Counters } from './counters';

export class StreamClient implements OpenStream {
  readonly #counters: Counters;
  readonly #limit: number;
  readonly #started: (client: StreamClient) => void;
  readonly #ended: (client: StreamClient) => void;
  #sink: StreamSink | undefined;
  #isClosed = false;
  #sent = 0;
  /** How much had left when the heartbeat came last, if something was waiting then. */
  #leftBefore: number | undefined;

  /** `limit`: bytes that may wait. `ended` is called once, whatever happens. */
  constructor(
    counters: Counters,
    limit: number,
    started: (client: StreamClient) => void,
    ended: (client: StreamClient) => void,
  ) {
    this.#counters = counters;
    this.#limit = limit;
    this.#started = started;
    this.#ended = ended;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  open(sink: StreamSink): void {
    // The handler may have been closed while the headers were written.
    if (this.#isClosed) {
      sink.end();
      return;
    }
    this.#sink = sink;
    this.#started(this);
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sink = undefined;
    this.#ended(this);
  }

  /** Hands over a chunk that holds so many events; several clients may get the same one. */
  write(chunk: Uint8Array, events: number): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    const pending = sink.pending();
    if (pending > 0 && pending + chunk.length > this.#limit) {
      this.drop();
      return;
    }
    this.#sent += chunk.length;
    this.#counters.eventsSent += events;
    sink.write(chunk);
  }

  /** Resolves when there is room for more, or nobody left to write to. */
  drained(): Promise<void> {
    return this.#sink?.drained() ?? Promise.resolve();
  }

  /** Writes the heartbeat, unless nothing has left since the one before. */
  beat(chunk: Uint8Array): void {
    const pending = this.#sink?.pending() ?? 0;
    const left = this.#sent - pending;
    if (pending > 0 && this.#leftBefore === left) {
      this.drop();
      return;
    }
    this.#leftBefore = pending > 0 ? left : undefined;
    this.write(chunk, 0);
  }

  /** Closes the connection of a client that is too slow. */
  drop(): void {
    if (this.#isClosed) return;
    this.#counters.slowClientsDropped += 1;
    const sink = this.#sink;
    this.closed();
    sink?.destroy();
  }

  /** Ends the stream; the client may come back. */
  end(): void {
    const sink = this.#sink;
    this.closed();
    sink?.end();
  }
}
