/**
 * Gathers the publishes of one tick into one native call. A batch keeps the promises of its events in
 * arrays; the results of all of them are made from one completion.
 */

import type { Outcome, PublishOptions, PublishResult } from '../../index';
import { publishedEvent, type Surroundings, type Timer } from '../client/environment';
import { checkSignal } from '../client/requests';
import { busError, type EventBusError, fromValue, invalidAt } from '../errors';
import { handledEvent } from '../handle/current-event';
import { jsonOf } from '../input/json';
import { copyOptions, readMoment } from '../input/options';
import type { KeepAlive } from '../native/keepalive';
import type {
  Apart,
  ErrorValue,
  Handled,
  NativeClient,
  PublishedRun,
  RawEvent,
  Recipients,
  Settings,
  StoredRun,
  TakenRun,
} from '../native/native';
import { nextTick } from '../runtime/clock';
import { onAbort } from '../runtime/signals';
import { PublishRetries } from './retries';

/**
 * Characters that are handed over at once, before the batch is full: a text of megabytes costs V8 pages of
 * its own, and one event that is not Latin-1 makes all of it two bytes a character.
 */
const FLUSH_LENGTH = 64 * 1024;

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** What a publish brings along beside type and data, when it has options. */
export interface Extra {
  /** JSON of the options. */
  json: string;
  id: string | undefined;
  timestamp: string | undefined;
  /** Its name without the prefix, where it is not the type. */
  channel: string | undefined;
  /** Whether the result is to say if the event was stored before. */
  deduplicate: boolean;
  timeout: number | undefined;
  signal: AbortSignal | undefined;
  /** Of a retry: how many there were before it, and when its time is over. */
  retried?: { count: number; deadline: number };
}

/** A publish that failed, among the outcomes of its batch. */
class Failure {
  readonly error: EventBusError;

  constructor(error: EventBusError) {
    this.error = error;
  }
}

/**
 * The publishes that cross together. Index `i` of each array belongs to the same event.
 *
 * Its callers wait for one promise: results of a batch come together, and a promise with its resolving
 * functions for each event costs as much as all else that is done here for it.
 */
export class Batch {
  readonly number: number;
  readonly types: string[] = [];
  readonly extras: (Extra | undefined)[] = [];
  readonly outcomes: (PublishResult | Failure | undefined)[] = [];
  records = '';
  /** The lines of `records`, once one of them is needed again. */
  lines: string[] | undefined;
  unsettled = 0;
  /** In hybrid mode, by index: how many subscriptions of this client have taken the event. */
  local: number[] | undefined;
  /** Set when handed over, if publishes of this client are retried. */
  startedAt = 0;
  /** Resolves when some of the events are settled; then there is a new one, unless all are. */
  progress: Promise<void>;
  #advance!: () => void;
  readonly #setAdvance = (advance: () => void): void => {
    this.#advance = advance;
  };

  constructor(number: number) {
    this.number = number;
    this.progress = new Promise(this.#setAdvance);
  }

  /** The index of the event added last. */
  get last(): number {
    return this.types.length - 1;
  }

  settle(index: number, outcome: PublishResult | Failure): void {
    this.outcomes[index] = outcome;
    this.unsettled -= 1;
  }

  /** Lets those go on whose events are settled. */
  advance(): void {
    const advance = this.#advance;
    if (this.unsettled > 0) this.progress = new Promise(this.#setAdvance);
    advance();
  }

  /** The result of a settled event, or its error thrown. */
  result(index: number): PublishResult {
    const outcome = this.outcomes[index] as PublishResult | Failure;
    if (outcome instanceof Failure) throw outcome.error;
    return outcome;
  }

  /** The result of an event once it is settled. */
  async resultOf(index: number): Promise<PublishResult> {
    do await this.progress;
    while (this.outcomes[index] === undefined);
    return this.result(index);
  }
}

/** The result of the event that was added last. */
export function resultOf(added: Batch | Promise<PublishResult>): Promise<PublishResult> {
  return added instanceof Batch ? added.resultOf(added.last) : added;
}

export class Publisher {
  readonly #native: NativeClient;
  readonly #settings: Settings;
  readonly #keepAlive: KeepAlive;
  readonly #retries: PublishRetries | undefined;
  readonly #surroundings: Surroundings;
  readonly #hybrid: boolean;
  readonly #drain: () => void;
  readonly #open = new Map<number, Batch>();
  /** Batches with outcomes that their callers do not know of yet. */
  readonly #touched = new Set<Batch>();
  #gathering: Batch | undefined;
  #timer: Timer | undefined;
  #lastNumber = 0;
  /** The type that was checked last: services publish few types, often the same. */
  #checkedType = '';

  constructor(
    native: NativeClient,
    settings: Settings,
    keepAlive: KeepAlive,
    surroundings: Surroundings,
    drain: () => void,
  ) {
    this.#native = native;
    this.#hybrid = settings.mode === 'hybrid';
    this.#drain = drain;
    this.#settings = settings;
    this.#keepAlive = keepAlive;
    this.#surroundings = surroundings;
    // What is published in hybrid mode has had its effect here already, and must not have it twice.
    if (settings.maxRetries > 0 && !this.#hybrid) {
      const again = (type: string, data: string, extra: Extra) =>
        resultOf(this.add(type, data, extra));
      this.#retries = new PublishRetries(settings, keepAlive, surroundings.timers, again);
    }
  }

  /**
   * Adds one event to the batch of this tick, as its last. `data` is JSON text. Throws what is wrong at
   * once. Answers with the promise of the result only where the caller's signal may end the call.
   */
  add(type: string, data: string, extra: Extra | undefined): Batch | Promise<PublishResult> {
    if (type !== this.#checkedType) this.#checkType(type);
    const json = extra === undefined ? this.#inherited() : extra.json;
    const line = `${type}\n${json}\n${data}`;
    // From here on nothing may throw: the arrays of a batch grow together.
    const batch = this.#gathering ?? this.#begin();
    const index = batch.types.push(type) - 1;
    batch.records = index === 0 ? line : `${batch.records}\n${line}`;
    batch.extras.push(extra);
    batch.outcomes.push(undefined);
    batch.unsettled += 1;
    if (batch.types.length >= this.#settings.batchSize || batch.records.length >= FLUSH_LENGTH) {
      this.flush();
    }
    return extra?.signal === undefined ? batch : this.#abortable(batch, index, extra.signal);
  }

  /** Reads the options of a publish. `INVALID_OPTIONS` for what is not one. */
  read(options: PublishOptions | undefined, to: Recipients | undefined): Extra {
    const given = copyOptions(options);
    const signal = readSignal(given.signal);
    delete given.signal;
    if (given.audience !== undefined) throw invalidAt(OPTIONS, 'audience', 'unknown key');
    if (to !== undefined) given.audience = to;
    const event = this.#settings.inherit ? handledEvent() : undefined;
    if (event !== undefined) {
      const inherited = inheritedFrom(event);
      given.correlationId ??= inherited.correlationId;
      given.causationId ??= inherited.causationId;
    }
    if (given.timestamp !== undefined) given.timestamp = readTimestamp(given.timestamp);
    return {
      json: jsonOf(given, OPTIONS, 'options'),
      id: given.id as string | undefined,
      timestamp: given.timestamp as string | undefined,
      channel: to === undefined ? undefined : channelOf(to),
      deduplicate: given.deduplicate !== undefined && given.deduplicate !== false,
      timeout: given.timeout as number | undefined,
      signal,
    };
  }

  /** Hands over what has been gathered. */
  flush(): void {
    const batch = this.#gathering;
    if (batch === undefined) return;
    this.#gathering = undefined;
    const { timers, record } = this.#surroundings;
    timers.clear(this.#timer);
    this.#open.set(batch.number, batch);
    const records = batch.records;
    if (this.#retries === undefined && record === undefined) batch.records = '';
    else batch.startedAt = timers.now();
    this.#native.publish(batch.number, batch.types.length, records);
    // What was handed over to this client's own handlers waits for no thread; but a caller of `publish` goes on
    // before its handlers begin.
    if (this.#hybrid) nextTick(this.#drain);
  }

  /** Events of a batch were taken by subscriptions of this client. */
  taken(run: TakenRun): void {
    const batch = this.#open.get(run[0]);
    if (batch === undefined) return;
    batch.local ??= [];
    for (let at = 1; at < run.length; at += 2) {
      batch.local[run[at] as number] = run[at + 1] as number;
    }
  }

  /** A publish succeeded without the server. */
  apart([number, index, timestamp, remote, id]: Apart): void {
    const batch = this.#open.get(number);
    if (batch === undefined || batch.outcomes[index] !== undefined) return;
    batch.settle(index, { ...this.#result(batch, index, id ?? 0, timestamp, 0), remote });
    this.#touched.add(batch);
  }

  /** A run of consecutive events of a batch was published. */
  published(run: PublishedRun): void {
    const batch = this.#open.get(run[0]);
    if (batch === undefined) return;
    const timestamp = run[2];
    for (let at = 3, index = run[1]; at < run.length; at += 2, index += 1) {
      if (batch.outcomes[index] !== undefined) continue;
      const id = run[at] as string | 0;
      const result = this.#result(batch, index, id, timestamp, run[at + 1] as number);
      batch.settle(index, result);
      this.#record(batch, index, result);
    }
    this.#touched.add(batch);
  }

  /** A run of consecutive events of a batch was stored in one stream. */
  stored(run: StoredRun): void {
    const batch = this.#open.get(run[0]);
    if (batch === undefined) return;
    const [, first, timestamp, stream] = run;
    for (let at = 4, index = first; at < run.length; at += 4, index += 1) {
      if (batch.outcomes[index] !== undefined) continue;
      const id = run[at] as string | 0;
      const result = this.#result(batch, index, id, timestamp, run[at + 1] as number);
      result.stream = stream;
      result.messageId = run[at + 2] as string;
      const duplicate = run[at + 3] === 1;
      if (batch.extras[index]?.deduplicate === true) result.duplicate = duplicate;
      batch.settle(index, result);
      if (!duplicate) this.#record(batch, index, result);
    }
    this.#touched.add(batch);
  }

  /** One event of a batch failed; it is tried again when it was not sent and may be. */
  failed(number: number, index: number, error: ErrorValue): void {
    const batch = this.#open.get(number);
    if (batch === undefined || batch.outcomes[index] !== undefined) return;
    if (this.#retries !== undefined && this.#retry(batch, index, error)) return;
    batch.settle(index, new Failure(fromValue(error)));
    this.#touched.add(batch);
  }

  /** Lets callers go on, after `published` and `failed`. */
  advance(): void {
    if (this.#touched.size === 0) return;
    for (const batch of this.#touched) this.#advance(batch);
    this.#touched.clear();
  }

  /**
   * Refuses whatever is unsettled, when the client has closed. What was only gathered is known not to have
   * been sent.
   */
  close(): void {
    this.#retries?.close();
    this.#surroundings.timers.clear(this.#timer);
    if (this.#gathering !== undefined) refuse(this.#gathering, 'not_sent');
    this.#gathering = undefined;
    for (const batch of this.#open.values()) refuse(batch, 'unknown');
    this.#open.clear();
  }

  #begin(): Batch {
    do this.#lastNumber = (this.#lastNumber + 1) >>> 0;
    while (this.#open.has(this.#lastNumber));
    const batch = new Batch(this.#lastNumber);
    this.#gathering = batch;
    this.#keepAlive.acquire();
    const interval = this.#settings.batchInterval;
    if (interval > 0) this.#timer = this.#surroundings.timers.set(this.#flushLater, interval);
    else nextTick(this.#flushLater);
    return batch;
  }

  #result(
    batch: Batch,
    index: number,
    id: string | 0,
    timestamp: string,
    receivers: number,
  ): PublishResult {
    const type = batch.types[index] as string;
    const extra = batch.extras[index];
    const prefix = this.#settings.channelPrefix;
    const result: PublishResult = {
      eventId: extra?.id ?? String(id),
      type,
      channel: prefix + (extra?.channel ?? type),
      timestamp: extra?.timestamp ?? timestamp,
      receivers,
      local: batch.local?.[index] ?? 0,
    };
    if (this.#hybrid) result.remote = 'resolved';
    return result;
  }

  /** Tells a test bus what was published. */
  #record(batch: Batch, index: number, result: PublishResult): void {
    const { record } = this.#surroundings;
    if (record === undefined) return;
    batch.lines ??= batch.records.split('\n');
    const [json, data] = batch.lines.slice(index * 3 + 1, index * 3 + 3) as [string, string];
    const { serviceName: source } = this.#settings;
    const { instanceId } = this.#native;
    record(publishedEvent(result, json, data, { source, instanceId }), batch.number, index);
  }

  readonly #flushLater = (): void => this.flush();

  #advance(batch: Batch): void {
    batch.advance();
    if (batch.unsettled > 0) return;
    this.#open.delete(batch.number);
    this.#keepAlive.release();
  }

  #inherited(): string {
    const event = this.#settings.inherit ? handledEvent() : undefined;
    if (event === undefined) return '';
    return JSON.stringify(inheritedFrom(event));
  }

  #checkType(type: unknown): void {
    if (typeof type !== 'string') {
      throw invalidAt('ERR_BUS_INVALID_TYPE', 'type', `must be a string, not ${typeof type}`);
    }
    // A line break would shift the records that follow; all else is checked in Rust.
    if (type.includes('\n')) {
      throw invalidAt('ERR_BUS_INVALID_TYPE', 'type', 'must not hold a line break');
    }
    this.#checkedType = type;
  }

  #retry(batch: Batch, index: number, error: ErrorValue): boolean {
    batch.lines ??= batch.records.split('\n');
    const [type, json, data] = batch.lines.slice(index * 3, index * 3 + 3) as [
      string,
      string,
      string,
    ];
    const settle = (outcome: PublishResult | Failure) => {
      if (batch.outcomes[index] !== undefined) return;
      batch.settle(index, outcome);
      this.#advance(batch);
    };
    const retry = {
      type,
      json,
      data,
      extra: batch.extras[index],
      resolve: settle,
      reject: (failure: EventBusError) => settle(new Failure(failure)),
    };
    return this.#retries?.schedule(retry, error, batch.startedAt) ?? false;
  }

  async #abortable(batch: Batch, index: number, signal: AbortSignal): Promise<PublishResult> {
    const abort = () => {
      // Only what was handed over can be cancelled, and only Rust knows whether it was written.
      if (this.#gathering === batch) this.flush();
      this.#native.cancelPublish(batch.number, index);
    };
    const end = onAbort(signal, abort);
    try {
      return await batch.resultOf(index);
    } catch (error) {
      const wasAborted = (error as EventBusError).code === 'ERR_BUS_ABORTED';
      if (wasAborted) (error as EventBusError).cause = signal.reason;
      throw error;
    } finally {
      end();
    }
  }
}

/** Ends what is unsettled of a batch whose client has closed. */
function refuse(batch: Batch, outcome: Outcome): void {
  for (let index = 0; index < batch.outcomes.length; index += 1) {
    if (batch.outcomes[index] !== undefined) continue;
    const closed = busError('ERR_BUS_CLOSED', 'the client is closed', { outcome });
    batch.settle(index, new Failure(closed));
  }
  batch.advance();
}

/** The channel of recipients that the engine has accepted. */
function channelOf(to: Recipients): string {
  if (to === 'broadcast') return to;
  return 'room' in to ? `room:${to.room}` : `user:${to.user}`;
}

function readSignal(value: unknown): AbortSignal | undefined {
  checkSignal(value);
  if (value?.aborted) {
    const details = { cause: value.reason, outcome: 'not_sent' as const };
    throw busError('ERR_BUS_ABORTED', 'the call was aborted', details);
  }
  return value;
}

/** What a publish inherits. The event is its handler's, who may have changed it in any way. */
function inheritedFrom(event: Handled): { correlationId?: string; causationId?: string } {
  // From a batch nothing is inherited: it has neither.
  const { id: causationId, metadata } = event as { id?: unknown; metadata?: RawEvent['metadata'] };
  const correlationId: unknown = metadata?.correlationId;
  return {
    ...(typeof correlationId === 'string' && { correlationId }),
    ...(typeof causationId === 'string' && { causationId }),
  };
}

/** ISO 8601 with a time zone; `Date` would take far more, and some of it as local time. */
const ISO_TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*([Zz]|[+-]\d\d:?\d\d)$/;

/** A timestamp as the event will hold it; what is not one is left for Rust to refuse. */
function readTimestamp(value: unknown): unknown {
  const time = readMoment(value, 'timestamp');
  const readable = typeof time === 'number' || (typeof time === 'string' && ISO_TIME.test(time));
  if (!readable) return value;
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? value : date.toISOString();
}
