/** `bus.replay()`: stored events once more, one after the other. */

import type { BusEvent, EventHandler, ReplayContext, ReplayResult } from '../index';
import { CallContext, ReplayCallContext } from './call';
import { handlerEnded, handlerStarted, withinHandler } from './context';
import { busError, invalidAt } from './errors';
import type { RawEvent } from './native';
import { readMoment, readOptions } from './options';
import { aborted, checkSignal } from './requests';
import { onAbort } from './signals';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const KEYS = ['stream', 'pattern', 'from', 'to', 'limit', 'handler', 'group', 'signal'];
/** Events that are asked for at a time. */
const PAGE = 256;

/** Some of the events, each with its place; `last` is where the next page begins. */
interface Page {
  events: { id: string; stream: string; event: string }[];
  last: string | null;
  truncated: boolean;
  done: boolean;
  /** Entries that hold no event. */
  undecodable: number;
}

/** What a replay asks of its client. */
export interface ReplayOwner {
  readonly settings: { channelPrefix: string; inherit: boolean };
  ask<T>(method: string, args: Record<string, unknown>, signal?: AbortSignal): Promise<T>;
  rememberIterator(replay: { end(): void }): void;
  forgetIterator(replay: object): void;
  /** A handler failed, and it is not tried again. */
  replayFailed(thrown: unknown, event: RawEvent): void;
}

/** Which events are asked for, as the engine reads it. */
type Range = Record<'stream' | 'pattern' | 'from' | 'to', unknown>;

/** Replays what a user asks for. `INVALID_OPTIONS` for what cannot be. */
export function replay(owner: ReplayOwner, query: unknown): Promise<ReplayResult> {
  const { handler, group, signal, limit, ...rest } = readOptions(query, KEYS);
  checkSignal(signal);
  const range = {
    ...rest,
    from: readMoment(rest.from, 'from'),
    to: readMoment(rest.to, 'to'),
  } as Range;
  if (group !== undefined) {
    if (handler !== undefined) throw invalidAt(OPTIONS, 'group', 'give either it or a handler');
    return owner.ask<ReplayResult>('replay.group', { ...range, limit, group }, signal);
  }
  if (typeof handler !== 'function') throw invalidAt(OPTIONS, 'handler', 'must be a function');
  const count = Number.isSafeInteger(limit) && (limit as number) > 0;
  if (limit !== undefined && !count) {
    throw invalidAt(OPTIONS, 'limit', 'must be an integer from 1');
  }
  const replayed = new Replay(owner, handler as EventHandler<BusEvent, ReplayContext>, signal);
  return replayed.run(range, limit as number | undefined);
}

class Replay {
  readonly #owner: ReplayOwner;
  readonly #handler: EventHandler<BusEvent, ReplayContext>;
  readonly #signal: AbortSignal | undefined;
  readonly #result: ReplayResult = {
    replayed: 0,
    failed: 0,
    truncated: false,
    firstId: null,
    lastId: null,
  };
  #current: CallContext | undefined;
  #closed = false;

  constructor(
    owner: ReplayOwner,
    handler: EventHandler<BusEvent, ReplayContext>,
    signal: AbortSignal | undefined,
  ) {
    this.#owner = owner;
    this.#handler = handler;
    this.#signal = signal;
  }

  async run(range: Range, limit = Number.POSITIVE_INFINITY): Promise<ReplayResult> {
    const signal = this.#signal;
    const abort = () => this.#stop(aborted(signal));
    const stopWaiting = signal === undefined ? undefined : onAbort(signal, abort);
    this.#owner.rememberIterator(this);
    try {
      let left = limit;
      let after: string | undefined;
      for (let done = false; !done && left > 0; ) {
        const args = { ...range, limit: Math.min(left, PAGE), after };
        const page = await this.#owner.ask<Page>('replay.page', args, signal);
        this.#result.truncated ||= page.truncated;
        this.#result.failed += page.undecodable;
        for (const { id, stream, event } of page.events) {
          await this.#handle(JSON.parse(event) as RawEvent, stream, id, range.pattern);
        }
        left -= page.events.length;
        done = page.done || page.last === null;
        after = page.last ?? undefined;
      }
      return this.#result;
    } finally {
      stopWaiting?.();
      this.#owner.forgetIterator(this);
    }
  }

  /** The client closes: the event that is handled is the last. */
  end(): void {
    this.#closed = true;
    this.#stop(closed());
  }

  #stop(reason: unknown): void {
    if (this.#current !== undefined) CallContext.abort(this.#current, reason);
  }

  async #handle(event: RawEvent, stream: string, id: string, pattern: unknown): Promise<void> {
    if (this.#signal?.aborted) throw aborted(this.#signal);
    if (this.#closed) throw closed();
    const { channelPrefix, inherit } = this.#owner.settings;
    const shown = typeof pattern === 'string' ? pattern : '*';
    const context = new ReplayCallContext(shown, channelPrefix + event.type, stream, id);
    this.#current = context;
    const handler = this.#handler;
    this.#result.firstId ??= id;
    this.#result.lastId = id;
    if (inherit) handlerStarted();
    try {
      await (inherit
        ? withinHandler(event, () => handler(event as BusEvent, context))
        : handler(event as BusEvent, context));
      this.#result.replayed += 1;
    } catch (thrown) {
      this.#result.failed += 1;
      this.#owner.replayFailed(thrown, event);
    } finally {
      if (inherit) handlerEnded();
      this.#current = undefined;
    }
  }
}

function closed(): Error {
  return busError('ERR_BUS_CLOSED', 'the client is closed');
}
