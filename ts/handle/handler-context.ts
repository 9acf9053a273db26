/** The `ctx` of handlers: where an event came from, which attempt this is, and the signal of the call. */

import { setMaxListeners } from 'node:events';
import type { BatchContext, GroupContext, HandlerContext, ReplayContext } from '../../index';
import type { HandlerInput, RawEvent, RunInfo } from '../native/native';

/** The `ctx` of a handler. Each call gets one of its own, as handlers may keep it; its signal is made when it is first read. */
export class CallContext implements HandlerContext {
  readonly pattern: string;
  readonly channel: string;
  readonly attempt: number;
  #controller: AbortController | undefined;
  #aborted: { reason: unknown } | undefined;
  /** Whatever the instrumentation remembers of the call until it has ended. */
  #remembered: object | undefined;

  constructor(pattern: string, channel: string, attempt: number) {
    this.pattern = pattern;
    this.channel = channel;
    this.attempt = attempt;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      // A handler may give it to as many calls as it likes. Node 20 warns of a leak at the eleventh listener.
      setMaxListeners(0, this.#controller.signal);
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  static isAborted(context: CallContext): boolean {
    return context.#aborted !== undefined;
  }

  static remember(context: CallContext, remembered: object): void {
    context.#remembered = remembered;
  }

  /** What is remembered of the call, once. */
  static forget(context: CallContext): object | undefined {
    const remembered = context.#remembered;
    if (remembered !== undefined) context.#remembered = undefined;
    return remembered;
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

/** The index of the pattern that the events of a run match, among the patterns of their subscription. */
export function patternIndexOf(info: RunInfo | 0): number {
  return info === 0 ? 0 : (info.pattern ?? 0);
}

/** The context of an event or batch of a run; `messageId` is the id of a durable event, or the ids of its batch. */
export function makeContext(
  pattern: string,
  event: HandlerInput,
  info: RunInfo | 0,
  messageId: string | readonly string[],
  prefix: string,
): CallContext {
  const { type } = firstEvent(event);
  if (info === 0) return new CallContext(pattern, prefix + type, 1);
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

/** The event, or the first event of a batch, which is never empty. */
export function firstEvent(event: HandlerInput): RawEvent {
  return Array.isArray(event) ? (event[0] as RawEvent) : event;
}
