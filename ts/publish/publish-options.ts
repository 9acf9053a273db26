/** The options of a publish, read and written as the JSON that crosses with the event. */

import type { PublishOptions } from '../../index';
import { busError, invalidAt } from '../errors';
import { handledEvent } from '../handle/current-event';
import { isPlainObject, jsonOf } from '../input/json';
import { copyOptions, reading, readMoment } from '../input/options';
import { checkSignal } from '../input/signal';
import type { TraceContext } from '../instrumentation';
import type { HandlerInput, RawEvent, Recipients } from '../native/native';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

export interface ParsedPublishOptions {
  json: string;
  id: string | undefined;
  timestamp: string | undefined;
  /** The name of the channel without the prefix, where it is not the type. */
  channel: string | undefined;
  /** Whether the result has to tell if the event had been stored before. */
  deduplicate: boolean;
  timeout: number | undefined;
  signal: AbortSignal | undefined;
  /** Of a retry: how many retries were before it, and when the time of the call is over. */
  retried?: { count: number; deadline: number };
}

/** Reads the options of a publish. Throws `INVALID_OPTIONS` with the path of the wrong one. */
export function parsePublishOptions(
  options: PublishOptions | undefined,
  to: Recipients | undefined,
  inherit: boolean,
  trace?: TraceContext,
): ParsedPublishOptions {
  if (options === undefined && to === undefined && trace?.baggage === undefined) {
    return tracedOptions(inherit, trace);
  }
  const given = copyOptions(options);
  const signal = readSignal(given.signal);
  delete given.signal;
  if (given.audience !== undefined) throw invalidAt(OPTIONS, 'audience', 'unknown key');
  if (to !== undefined) given.audience = to;
  const event = inherit ? handledEvent() : undefined;
  if (event !== undefined) {
    const inherited = inheritedFrom(event);
    given.correlationId ??= inherited.correlationId;
    given.causationId ??= inherited.causationId;
  }
  if (trace !== undefined) {
    given.traceparent ??= trace.traceparent;
    given.tracestate ??= trace.tracestate;
    if (trace.baggage !== undefined) given.metadata = withBaggage(given.metadata, trace.baggage);
  }
  if (given.timestamp !== undefined) given.timestamp = readTimestamp(given.timestamp);
  return {
    json: jsonOf(given, OPTIONS, 'options'),
    id: given.id as string | undefined,
    timestamp: given.timestamp as string | undefined,
    channel: to === undefined ? firstOf(given.channels) : channelOf(to),
    deduplicate: given.deduplicate !== undefined && given.deduplicate !== false,
    timeout: given.timeout as number | undefined,
    signal,
  };
}

/**
 * The options of what the bus itself publishes to a user. They are written as they are, so they must hold what JSON can,
 * and no signal.
 */
export function ownOptions(
  options: PublishOptions,
  user: string,
  inherit: boolean,
  trace: TraceContext | undefined,
): ParsedPublishOptions {
  const event = inherit ? handledEvent() : undefined;
  const given: Record<string, unknown> = {
    ...(event !== undefined && inheritedFrom(event)),
    ...(trace !== undefined && { traceparent: trace.traceparent, tracestate: trace.tracestate }),
    ...options,
    audience: { user },
  };
  if (trace?.baggage !== undefined) given.metadata = withBaggage(given.metadata, trace.baggage);
  return {
    json: JSON.stringify(given),
    id: undefined,
    timestamp: undefined,
    channel: `user:${user}`,
    deduplicate: false,
    timeout: options.timeout,
    signal: undefined,
  };
}

/** The same where the caller has given none: that is read and checked by nobody. */
function tracedOptions(inherit: boolean, trace: TraceContext | undefined): ParsedPublishOptions {
  const event = inherit ? handledEvent() : undefined;
  const inherited = event === undefined ? undefined : inheritedFrom(event);
  return {
    json: JSON.stringify({ ...inherited, ...trace }),
    id: undefined,
    timestamp: undefined,
    channel: undefined,
    deduplicate: false,
    timeout: undefined,
    signal: undefined,
  };
}

/** An item of a batch: an event with its own options, which go before those of the batch. */
export function readItem(
  item: unknown,
  defaults: PublishOptions,
): { type: string; data: unknown; options: PublishOptions | undefined } {
  const given = reading('items', () => isPlainObject(item) && { ...item });
  if (given === false) throw invalidAt(OPTIONS, 'items', 'must hold plain objects');
  const { type, data, ...own } = given;
  const merged = { ...defaults, ...own };
  const options = Object.keys(merged).length === 0 ? undefined : merged;
  return { type: type as string, data, options };
}

/** The JSON of the options of a publish that has none of its own: what it inherits, or nothing. */
export function inheritedOptions(): string {
  const event = handledEvent();
  return event === undefined ? '' : JSON.stringify(inheritedFrom(event));
}

/** What a publish inherits. The event belongs to its handler, who may have changed it in any way. */
function inheritedFrom(event: HandlerInput): { correlationId?: string; causationId?: string } {
  // A batch has neither member, so nothing is inherited from one.
  const { id: causationId, metadata } = event as { id?: unknown; metadata?: RawEvent['metadata'] };
  const correlationId: unknown = metadata?.correlationId;
  return {
    ...(typeof correlationId === 'string' && { correlationId }),
    ...(typeof causationId === 'string' && { causationId }),
  };
}

/** What is no plain object is left as it is: the engine refuses it. */
function withBaggage(metadata: unknown, baggage: string): unknown {
  return metadata === undefined || isPlainObject(metadata) ? { baggage, ...metadata } : metadata;
}

/** The channel of recipients that the engine has accepted, without the prefix. */
function channelOf(to: Recipients): string {
  if (to === 'broadcast') return to;
  return 'room' in to ? `room:${to.room}` : `user:${to.user}`;
}

/** The first of the channels that the engine has accepted. */
function firstOf(channels: unknown): string | undefined {
  return Array.isArray(channels) ? (channels[0] as string) : undefined;
}

function readSignal(value: unknown): AbortSignal | undefined {
  checkSignal(value);
  if (value?.aborted) {
    const details = { cause: value.reason, outcome: 'not_sent' as const };
    throw busError('ERR_BUS_ABORTED', 'the call was aborted', details);
  }
  return value;
}

/** ISO 8601 with a time zone; `Date` would take far more, and some of it as local time. */
const ISO_TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*([Zz]|[+-]\d\d:?\d\d)$/;

/** A timestamp as the event will hold it. Other values are left as they are: the engine refuses them. */
function readTimestamp(value: unknown): unknown {
  const time = readMoment(value, 'timestamp');
  const readable = typeof time === 'number' || (typeof time === 'string' && ISO_TIME.test(time));
  if (!readable) return value;
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? value : date.toISOString();
}
