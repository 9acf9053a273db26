/** `bus.replay()`: stored events once more, one after the other. */

import type { BusEvent, EventHandler, ReplayContext, ReplayResult } from '../../index';
import { busError, invalidAt } from '../errors';
import { callIn, handlerEnded, handlerStarted } from '../handle/current-event';
import { CallContext, ReplayCallContext } from '../handle/handler-context';
import { readMoment, readOptions, refuseUndefined } from '../input/options';
import { checkSignal } from '../input/signal';
import type { InstrumentedCalls } from '../instrumentation';
import type { Ask, AskForEvents } from '../native/methods';
import type { RawEvent } from '../native/native';
import { aborted, onAbort } from '../runtime/signals';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const KEYS = ['stream', 'pattern', 'from', 'to', 'limit', 'handler', 'group', 'signal'];
/** So many events are asked for at a time. */
const PAGE = 256;
/** So many events a group is sent at a time: an abort takes effect only between two pages. */
const GROUP_PAGE = 64;

/** What a replay needs of its client. */
export interface ReplayOwner {
  readonly settings: { channelPrefix: string; inherit: boolean };
  readonly questions: { ask: Ask; askForEvents: AskForEvents };
  /** Keeps the process alive until `unref`. */
  ref(): void;
  unref(): void;
  rememberIterator(replay: { end(): void }): void;
  forgetIterator(replay: object): void;
  /** Told that a handler failed; the event is not tried again. */
  replayFailed(thrown: unknown, event: RawEvent): void;
  /** The hooks for tracing, if there are any. */
  readonly instrumented: InstrumentedCalls;
}

const NOTHING: ReplayResult = {
  replayed: 0,
  failed: 0,
  truncated: false,
  firstId: null,
  lastId: null,
};

/** The range of events that is asked for, as the engine reads it. */
type Range = Record<'stream' | 'pattern' | 'from' | 'to', unknown>;

/** Replays the events that a user asks for. Rejects with `INVALID_OPTIONS` for a wrong query. */
export async function replay(owner: ReplayOwner, query: unknown): Promise<ReplayResult> {
  const read = readOptions(query, KEYS);
  refuseUndefined(read, 'from', 'for all from the first on');
  refuseUndefined(read, 'to', 'for all up to the last');
  refuseUndefined(read, 'limit', 'for all');
  const { handler, group, signal, limit, ...rest } = read;
  checkSignal(signal);
  const range = {
    ...rest,
    from: readMoment(rest.from, 'from'),
    to: readMoment(rest.to, 'to'),
  } as Range;
  if (group === undefined && typeof handler !== 'function') {
    throw invalidAt(OPTIONS, 'handler', 'must be a function');
  }
  if (group !== undefined && handler !== undefined) {
    throw invalidAt(OPTIONS, 'group', 'give either it or a handler');
  }
  const count = Number.isSafeInteger(limit) && (limit as number) > 0;
  if (limit !== undefined && !count) {
    throw invalidAt(OPTIONS, 'limit', 'must be an integer from 1');
  }
  const most = (limit as number | undefined) ?? Number.POSITIVE_INFINITY;
  owner.ref();
  try {
    if (group !== undefined) return await deliver(owner, { ...range, group }, most, signal);
    const replayed = new Replay(owner, handler as EventHandler<BusEvent, ReplayContext>, signal);
    return await replayed.run(range, most);
  } finally {
    owner.unref();
  }
}

/** Sends a group the events of a range once more. Nothing more is sent once the promise has rejected. */
async function deliver(
  owner: ReplayOwner,
  range: Range & { group: unknown },
  limit: number,
  signal: AbortSignal | undefined,
): Promise<ReplayResult> {
  const result = { ...NOTHING };
  let left = limit;
  let after: string | undefined;
  for (let done = false; !done && left > 0; ) {
    if (signal?.aborted) throw aborted(signal, `after ${result.replayed} were replayed`);
    const args = { ...range, limit: Math.min(left, GROUP_PAGE), after };
    // The signal is not passed on: it would end the call while the engine still sends.
    const page = await owner.questions.ask('replay.group', {
      ...args,
      ...(after !== undefined && { replayed: result.replayed }),
    });
    result.replayed += page.replayed;
    result.failed += page.failed;
    result.truncated ||= page.truncated;
    result.firstId ??= page.firstId;
    result.lastId = page.lastId ?? result.lastId;
    left -= page.replayed + page.failed;
    after = page.last ?? undefined;
    done = page.done || after === undefined;
  }
  return result;
}

class Replay {
  readonly #owner: ReplayOwner;
  readonly #handler: EventHandler<BusEvent, ReplayContext>;
  readonly #signal: AbortSignal | undefined;
  readonly #result = { ...NOTHING };
  #current: { event: RawEvent; context: CallContext } | undefined;
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

  async run(range: Range, limit: number): Promise<ReplayResult> {
    const signal = this.#signal;
    const abort = () => this.#stop(aborted(signal));
    const stopWaiting = signal === undefined ? undefined : onAbort(signal, abort);
    this.#owner.rememberIterator(this);
    try {
      let left = limit;
      let after: string | undefined;
      for (let done = false; !done && left > 0; ) {
        const args = { ...range, limit: Math.min(left, PAGE), after };
        const answer = await this.#owner.questions.askForEvents('replay.page', args, signal);
        const page = answer.value;
        this.#result.truncated ||= page.truncated;
        this.#result.failed += page.undecodable;
        for (const { id, stream, event } of page.events) {
          await this.#handle(answer.events[event] as RawEvent, stream, id, range.pattern);
        }
        left -= page.events.length;
        done = page.done || page.last === null;
        after = page.last ?? undefined;
      }
      return this.#result;
    } finally {
      this.#owner.forgetIterator(this);
      stopWaiting?.();
    }
  }

  /** Told that the client closes: the event that is being handled is the last. */
  end(): void {
    this.#closed = true;
    this.#stop(closed());
  }

  #stop(reason: unknown): void {
    if (this.#current === undefined) return;
    const { event, context } = this.#current;
    callIn(this.#contextOf(event), CallContext.abort, context, reason);
  }

  async #handle(event: RawEvent, stream: string, id: string, pattern: unknown): Promise<void> {
    if (this.#signal?.aborted) throw aborted(this.#signal);
    if (this.#closed) throw closed();
    const { channelPrefix, inherit } = this.#owner.settings;
    const own = this.#contextOf(event);
    const shown = typeof pattern === 'string' ? pattern : '*';
    const context = new ReplayCallContext(shown, channelPrefix + event.type, stream, id);
    this.#current = { event, context };
    this.#result.firstId ??= id;
    this.#result.lastId = id;
    if (inherit) handlerStarted();
    try {
      // Of a thenable, `then` is code of the user as well.
      await callIn(own, async () => this.#call(event, context));
      this.#result.replayed += 1;
      this.#owner.instrumented.succeeded(context);
    } catch (thrown) {
      this.#result.failed += 1;
      this.#owner.instrumented.failed(context, thrown, true);
      callIn(own, () => this.#owner.replayFailed(thrown, event));
    } finally {
      if (inherit) handlerEnded();
      this.#current = undefined;
    }
  }

  /** The handler is one like any other: the context of whoever asked for the replay is not its own. */
  #contextOf(event: RawEvent): RawEvent | undefined {
    return this.#owner.settings.inherit ? event : undefined;
  }

  #call(event: RawEvent, context: ReplayCallContext): unknown {
    const handler = this.#handler;
    const { instrumented } = this.#owner;
    if (instrumented.current === undefined) return handler(event as BusEvent, context);
    const run = () => handler(event as BusEvent, context);
    return instrumented.run(event, context, undefined, false, run);
  }
}

function closed(): Error {
  return busError('ERR_BUS_CLOSED', 'the client is closed');
}
