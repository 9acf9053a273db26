/** One handler call: what the handler is told of it, and where it stands. */

import type { BatchContext, GroupContext, HandlerContext, ReplayContext } from '../../index';
import type { Handled, RawEvent, RunInfo } from '../native/native';
import type { LiveSubscription } from './subscription';

/** The `ctx` of a handler. One per call, as it may be kept; its signal is made when first read. */
export class CallContext implements HandlerContext {
  readonly pattern: string;
  readonly channel: string;
  readonly attempt: number;
  #controller: AbortController | undefined;
  #aborted: { reason: unknown } | undefined;

  constructor(pattern: string, channel: string, attempt: number) {
    this.pattern = pattern;
    this.channel = channel;
    this.attempt = attempt;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  static isAborted(context: CallContext): boolean {
    return context.#aborted !== undefined;
  }

  /** Aborts the signal, or the one that may be asked for later. */
  static abort(context: CallContext, reason: unknown): void {
    context.#aborted ??= { reason };
    context.#controller?.abort(reason);
  }
}

/** The `ctx` of a durable call. */
export class GroupCallContext extends CallContext implements GroupContext {
  readonly stream: string;
  readonly messageId: string;
  readonly group: string;
  readonly deliveryCount: number;

  constructor(
    pattern: string,
    channel: string,
    attempt: number,
    stream: string,
    messageId: string,
    group: string,
    deliveryCount: number,
  ) {
    super(pattern, channel, attempt);
    this.stream = stream;
    this.messageId = messageId;
    this.group = group;
    this.deliveryCount = deliveryCount;
  }
}

/** The `ctx` of a batch. */
export class BatchCallContext extends GroupCallContext implements BatchContext {
  readonly streams: readonly string[];
  readonly messageIds: readonly string[];

  constructor(
    pattern: string,
    channel: string,
    attempt: number,
    streams: readonly string[],
    messageIds: readonly string[],
    group: string,
    deliveryCount: number,
  ) {
    const [stream, messageId] = [streams[0] as string, messageIds[0] as string];
    super(pattern, channel, attempt, stream, messageId, group, deliveryCount);
    this.streams = streams;
    this.messageIds = messageIds;
  }
}

/** The `ctx` of a replayed event. */
export class ReplayCallContext extends CallContext implements ReplayContext {
  readonly stream: string;
  readonly messageId: string;

  constructor(pattern: string, channel: string, stream: string, messageId: string) {
    super(pattern, channel, 1);
    this.stream = stream;
    this.messageId = messageId;
  }
}

/** A call that goes on after the drain. Calls of a subscription are linked in the order they began. */
export class Call {
  readonly subscription: LiveSubscription;
  readonly event: Handled;
  readonly context: CallContext;
  readonly token: number;
  readonly startedAt: number;
  /** `zombie`: its time is over, and what it still does no longer counts. */
  state: 'running' | 'zombie' | 'ended' = 'running';
  previous: Call | undefined;
  next: Call | undefined;
  /** Whether it waits, itself, for the others of its subscription to end. */
  waits = false;
  #ended: (() => void)[] | undefined;

  constructor(
    subscription: LiveSubscription,
    event: Handled,
    context: CallContext,
    token: number,
    startedAt: number,
  ) {
    this.subscription = subscription;
    this.event = event;
    this.context = context;
    this.token = token;
    this.startedAt = startedAt;
  }

  /** Resolves when the call has ended or its time is over. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.state !== 'running') resolve();
      else if (this.#ended === undefined) this.#ended = [resolve];
      else this.#ended.push(resolve);
    });
  }

  /** Leaves the state `running`. */
  leave(state: 'zombie' | 'ended'): void {
    this.state = state;
    const ended = this.#ended;
    this.#ended = undefined;
    if (ended !== undefined) for (const resolve of ended) resolve();
  }
}

/** The context of an event of a run, or of its batch; `messageId` is that of a durable one, or those. */
export function contextOf(
  subscription: LiveSubscription,
  event: Handled,
  info: RunInfo | 0,
  messageId: string | readonly string[],
  prefix: string,
): CallContext {
  const { type } = firstOf(event);
  if (info === 0) return new CallContext(subscription.patternAt(0), prefix + type, 1);
  const pattern = subscription.patternAt(info.pattern ?? 0);
  const channel = info.channel ?? prefix + type;
  const attempt = info.attempt ?? 1;
  if (info.stream === undefined) return new CallContext(pattern, channel, attempt);
  const { stream, group = '', deliveries = 1 } = info;
  if (typeof messageId === 'string') {
    return new GroupCallContext(pattern, channel, attempt, stream, messageId, group, deliveries);
  }
  const streams = info.streams ?? messageId.map(() => stream);
  return new BatchCallContext(pattern, channel, attempt, streams, messageId, group, deliveries);
}

/** The event, or the first of a batch, which has one. */
export function firstOf(event: Handled): RawEvent {
  return Array.isArray(event) ? (event[0] as RawEvent) : event;
}
