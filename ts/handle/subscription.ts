/** A subscription as the dispatcher sees it: its rules, its running calls and its buffered events. */

import type { BusEvent, EventHandler, SubscribeOptions } from '../../index';
import { NonRetryableError, ValidationError } from '../errors';
import type { HandlerInput, RunInfo, Subscribed } from '../native/native';
import { ignoreRejection } from '../runtime/promises';
import type { Call } from './call';
import { callHere, handledEvent } from './current-event';
import { CallContext } from './handler-context';
import type { OwnReceiver } from './own-events';

/** An event, or a batch, that waits in JavaScript for its paused subscription. */
export interface BufferedEvent {
  event: HandlerInput;
  info: RunInfo | 0;
  messageId: string | readonly string[];
  token: number;
}

/** Shared by all subscriptions, as most of them never buffer an event. */
const NOTHING_BUFFERED: readonly BufferedEvent[] = Object.freeze([]);

/** The state behind a subscription, durable or not. */
export class LiveSubscription {
  readonly sub: number;
  readonly pattern: string | readonly string[];
  /** The consumer group of a durable subscription. */
  readonly group: string | undefined;
  /** The streams that a durable subscription reads. */
  readonly streams: readonly string[];
  readonly handler: EventHandler<BusEvent>;
  readonly timeout: number;
  readonly retryIf: SubscribeOptions['retryIf'];
  /** Whether its handler gets data as JSON text. */
  readonly raw: boolean;
  state: 'pending' | 'active' | 'paused' | 'closed' = 'pending';
  /** The running calls. The head began first, so its time is over first. */
  head: Call<LiveSubscription> | undefined;
  tail: Call<LiveSubscription> | undefined;
  /** Events that came while it was paused; at most `concurrency`, as each of them keeps its slot in the engine. */
  buffered: readonly BufferedEvent[] = NOTHING_BUFFERED;
  /** True for `events()`: its calls wait for the loop to ask, and do not count as running handlers. */
  isIterator = false;
  /** What takes its events instead of its handler, where only the bus itself hears of them. It is never paused. */
  receiver: OwnReceiver | undefined;
  /** Run once, when it closes. */
  onClose: (() => void) | undefined;
  readonly #client: string;
  readonly #retries: number;

  constructor(
    client: string,
    subscribed: Subscribed,
    pattern: string | readonly string[],
    handler: EventHandler<BusEvent>,
    { retryIf, raw }: { retryIf: SubscribeOptions['retryIf']; raw: boolean },
  ) {
    this.#client = client;
    this.sub = subscribed.sub;
    this.pattern = pattern;
    this.group = subscribed.group ?? undefined;
    this.streams = subscribed.streams;
    this.handler = handler;
    this.timeout = subscribed.timeout;
    this.retryIf = retryIf;
    this.raw = raw;
    this.#retries = subscribed.retryOnError ? subscribed.maxRetries : 0;
  }

  /** Built on demand: few subscriptions are ever asked for it. */
  get id(): string {
    return `${this.#client}:${this.sub}`;
  }

  patternAt(index: number): string {
    return typeof this.pattern === 'string' ? this.pattern : (this.pattern[index] as string);
  }

  /** Keeps an event until it may be handled. */
  buffer(event: BufferedEvent): void {
    if (this.buffered === NOTHING_BUFFERED) this.buffered = [event];
    else (this.buffered as BufferedEvent[]).push(event);
  }

  takeBuffered(): readonly BufferedEvent[] {
    const buffered = this.buffered;
    this.buffered = NOTHING_BUFFERED;
    return buffered;
  }

  /** Whether the error allows another attempt. A `retryIf` that throws or returns a promise has no say. */
  isRetryable(error: unknown): boolean {
    const { retryIf } = this;
    if (retryIf !== undefined) {
      try {
        const answer: unknown = callHere(() => retryIf(error));
        if (!(answer instanceof Promise)) return Boolean(answer);
        ignoreRejection(answer);
      } catch {
        // The rule below decides, as it does without `retryIf`.
      }
    }
    return !(error instanceof NonRetryableError) && !(error instanceof ValidationError);
  }

  /**
   * Whether no attempt follows that of a failed call, on any client. A durable event whose claim is lost, or whose client
   * ends, is tried again by another consumer.
   */
  isFinal(context: CallContext, retryable: boolean, draining: boolean): boolean {
    const durable = this.group !== undefined;
    if (durable && CallContext.isAborted(context)) return false;
    if (!retryable || context.attempt > this.#retries) return true;
    return !durable && (draining || this.state === 'closed');
  }

  /** No call starts from here on. */
  close(): void {
    this.state = 'closed';
    const onClose = this.onClose;
    this.onClose = undefined;
    onClose?.();
  }

  append(call: Call<LiveSubscription>): void {
    call.previous = this.tail;
    if (this.tail === undefined) this.head = call;
    else this.tail.next = call;
    this.tail = call;
  }

  remove(call: Call<LiveSubscription>): void {
    if (call.previous === undefined) this.head = call.next;
    else call.previous.next = call.next;
    if (call.next === undefined) this.tail = call.previous;
    else call.next.previous = call.previous;
    call.previous = undefined;
    call.next = undefined;
  }

  /**
   * Resolves when the calls that run now have ended. The call that this is called from is left out, and so are calls
   * that wait here themselves: two calls that wait for each other would wait for ever.
   */
  async idle(): Promise<void> {
    const own = handledEvent();
    let caller: Call<LiveSubscription> | undefined;
    const running: Promise<void>[] = [];
    for (let call = this.head; call !== undefined; call = call.next) {
      if (call.event === own) caller = call;
      else if (!call.waits) running.push(call.whenEnded());
    }
    if (caller !== undefined) caller.waits = true;
    await Promise.all(running);
    if (caller !== undefined) caller.waits = false;
  }
}
