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

/** A user that the bus itself publishes to, often more than once. */
export class OwnRecipient {
  /** The name that follows `user:` in the channel. */
  readonly user: string;
  readonly channel: string;
  /** As JSON members that end the options. */
  readonly #audience: string;
  readonly #quietAudience: string;

  constructor(user: string) {
    this.user = user;
    this.channel = `user:${user}`;
    const quoted = JSON.stringify(user);
    this.#audience = `"audience":{"user":${quoted}}}`;
    this.#quietAudience = `"audience":{"user":${quoted},"quiet":true}}`;
  }

  audience(isQuiet: boolean): string {
    return isQuiet ? this.#quietAudience : this.#audience;
  }
}

/** What the bus itself publishes to a user. */
export interface OwnOptions {
  readonly to: OwnRecipient;
  /** JSON members of the options, each with a comma behind it; what they do not say is inherited. */
  readonly members: string;
  /** Whether `members` have the correlation id and the causation id. */
  readonly isCaused: boolean;
  /** JSON members of the metadata, of which there is one at least. */
  readonly metadata: string;
  /** In ms; undefined: the command timeout. */
  readonly timeout: number | undefined;
  /** Where nobody waits for its result: whether that may come with a later drain, unless nobody has received the event. */
  readonly isQuiet: boolean;
}

/**
 * The JSON of the options of what the bus itself publishes to a user. They are written as they are. Of members that come
 * twice the last one counts, so what is inherited stands first.
 */
export function ownOptionsJson(
  { to, members, isCaused, metadata }: OwnOptions,
  inherit: boolean,
  trace: TraceContext | undefined,
  isQuiet: boolean,
): string {
  const inherited = inherit && !isCaused ? inheritedMembers() : '';
  if (trace === undefined) {
    return `{${inherited}${members}"metadata":{${metadata}},${to.audience(isQuiet)}`;
  }
  const { baggage, ...context } = trace;
  const carried = baggage === undefined ? '' : membersOf({ baggage });
  return `{${inherited}${membersOf(context)}${members}"metadata":{${carried}${metadata}},${to.audience(isQuiet)}`;
}

/** The same as they are read, of a publish that someone waits for or that may be tried again. */
export function ownOptions(json: string, { to, timeout }: OwnOptions): ParsedPublishOptions {
  return {
    json,
    id: undefined,
    timestamp: undefined,
    channel: to.channel,
    deduplicate: false,
    timeout,
    signal: undefined,
  };
}

/** What is published here inherits, as JSON members with a comma behind each. */
export function inheritedMembers(): string {
  const event = handledEvent();
  return event === undefined ? '' : membersOf(inheritedFrom(event));
}

/** Strings as JSON members, each with a comma behind it. */
function membersOf(strings: Record<string, string | undefined>): string {
  let text = '';
  for (const [name, value] of Object.entries(strings)) {
    if (value !== undefined) text += `"${name}":${JSON.stringify(value)},`;
  }
  return text;
}

/** The JSON of the options of a publish that has none of its own, and that carries a trace. */
export function tracedOptions(inherit: boolean, trace: TraceContext): string {
  const event = inherit ? handledEvent() : undefined;
  if (event !== undefined) return JSON.stringify({ ...inheritedFrom(event), ...trace });
  const { traceparent, tracestate } = trace;
  if (traceparent === undefined || tracestate !== undefined) return JSON.stringify(trace);
  // Digits and hyphens: there is nothing to escape, and `JSON.stringify` would look for it.
  return `{"traceparent":"${traceparent}"}`;
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
