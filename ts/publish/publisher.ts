/** Gathers the publishes of one tick into one native call, and settles them from what the engine answers. */

import type { PublishResult } from '../../index';
import { type EventBusError, fromValue, invalidAt } from '../errors';
import type { LocalDeliveryRun, LocalSettlement, PublishedRun, StoredRun } from '../native/drained';
import type { KeepAlive } from '../native/keepalive';
import type { ErrorValue, NativeClient, Settings } from '../native/native';
import type { RawJson } from '../raw-json';
import { nextTick } from '../runtime/clock';
import { onAbort } from '../runtime/signals';
import type { Timer, Timers } from '../runtime/timers';
import { Batch, HEARD, PublishFailure, type PublishWatcher, resultOf } from './batch';
import { lineOf } from './data-text';
import { inheritedOptions, type ParsedPublishOptions } from './publish-options';
import { publishedEvent, type RecordPublished } from './published-event';
import { RawBytes } from './raw-bytes';
import { PublishRetries } from './retries';

/**
 * A batch of so many characters is handed over before it is full: a text of megabytes costs V8 pages of its own, and
 * one event that is not Latin-1 makes the whole text two bytes a character.
 */
const FLUSH_LENGTH = 64 * 1024;

/** And one of so many bytes beside its text, which cost V8 nothing: handing a batch over costs a call, a wake and a promise. */
const FLUSH_BYTES = 256 * 1024;

/** What the publisher needs of its client. */
export interface PublisherOwner {
  readonly timers: Timers;
  /** Given for the client of a test bus, which can be asked for what it has published. */
  readonly record: RecordPublished | undefined;
  /** Takes what the engine has ready. */
  drain(): void;
}

export class Publisher {
  readonly #native: NativeClient;
  readonly #settings: Settings;
  readonly #keepAlive: KeepAlive;
  readonly #retries: PublishRetries | undefined;
  readonly #timers: Timers;
  readonly #record: RecordPublished | undefined;
  readonly #hybrid: boolean;
  readonly #drain: () => void;
  readonly #open = new Map<number, Batch>();
  /** Batches with outcomes that their callers do not know of yet. */
  readonly #touched = new Set<Batch>();
  #gathering: Batch | undefined;
  /** The bytes of the batch that is gathered. */
  readonly #raw = new RawBytes();
  #timer: Timer | undefined;
  #lastNumber = 0;
  /** The type that was checked last: services publish few types, often the same. */
  #checkedType = '';

  constructor(
    native: NativeClient,
    settings: Settings,
    keepAlive: KeepAlive,
    owner: PublisherOwner,
  ) {
    this.#native = native;
    this.#hybrid = settings.mode === 'hybrid';
    this.#drain = () => owner.drain();
    this.#settings = settings;
    this.#keepAlive = keepAlive;
    this.#timers = owner.timers;
    this.#record = owner.record;
    // A publish in hybrid mode has been delivered in this process already, and a retry would deliver it again.
    if (settings.maxRetries > 0 && !this.#hybrid) {
      const publish = (type: string, data: string, options: ParsedPublishOptions) =>
        resultOf(this.add(type, data, options));
      this.#retries = new PublishRetries(settings, keepAlive, owner.timers, publish);
    }
  }

  /**
   * Adds one event to the batch of this tick, as its last. `data` is JSON text, or has bytes that the caller says are JSON;
   * they are copied. `own` is the JSON of what the bus says of an event without options, where that is more than what it inherits.
   * Throws at once for a wrong type.
   * Returns the promise of the result only where the caller's signal may end the call.
   */
  add(
    type: string,
    data: string | RawJson,
    options: ParsedPublishOptions | undefined,
    own?: string,
  ): Batch | Promise<PublishResult> {
    const batch = this.#append(type, data, options, own);
    this.#hold(batch);
    const signal = options?.signal;
    return signal === undefined ? batch : this.#abortable(batch, batch.last, signal);
  }

  #append(
    type: string,
    data: string | RawJson,
    options: ParsedPublishOptions | undefined,
    own?: string,
  ): Batch {
    this.checkType(type);
    const json = options === undefined ? (own ?? this.#inherited()) : options.json;
    const text = typeof data === 'string' ? data : this.#given(data);
    const line = `${type}\n${json}\n${text}`;
    // From here on nothing may throw: the arrays of a batch grow together.
    const batch = this.#gathering ?? this.#begin();
    const index = batch.types.push(type) - 1;
    batch.records = index === 0 ? line : `${batch.records}\n${line}`;
    batch.options.push(options);
    batch.outcomes.push(undefined);
    batch.unsettled += 1;
    if (
      batch.types.length >= this.#settings.batchSize ||
      batch.records.length >= FLUSH_LENGTH ||
      this.#raw.length >= FLUSH_BYTES
    ) {
      this.flush();
    }
    return batch;
  }

  /** The same for a caller who does not wait: `watcher` is told. The options must have no signal. */
  addWatched(
    type: string,
    data: string | RawJson,
    options: ParsedPublishOptions,
    watcher: PublishWatcher,
    isQuiet: boolean,
  ): void {
    const batch = this.#append(type, data, options);
    if (!isQuiet) this.#hold(batch);
    batch.watch(watcher, isQuiet);
  }

  /**
   * The same for one whose result may come with any drain that follows: it keeps neither the process nor the client alive. `json`
   * are its options. Only where nothing is kept: of its options nothing is left but what crosses.
   */
  addQuiet(type: string, data: string | RawJson, json: string, watcher: PublishWatcher): void {
    this.#append(type, data, undefined, json).watch(watcher, true);
  }

  /** Hands over what has been gathered. */
  flush(): void {
    const batch = this.#gathering;
    if (batch === undefined) return;
    this.#gathering = undefined;
    this.#timers.clear(this.#timer);
    this.#open.set(batch.number, batch);
    const records = batch.records;
    if (!this.isKept) batch.records = '';
    else batch.startedAt = this.#timers.now();
    const { number, types } = batch;
    if (this.#raw.length > 0) {
      this.#native.publishWithRaw(number, types.length, records, this.#raw.take());
    } else if (batch.isHereFirst && this.#hybrid) {
      this.#native.publishHereFirst(number, types.length, records);
      nextTick(this.#drainAndSend);
      return;
    } else this.#native.publish(number, types.length, records);
    // In hybrid mode the engine has the deliveries to this client ready already. They are drained in the next tick:
    // a caller of `publish` goes on before handlers begin.
    if (this.#hybrid) nextTick(this.#drain);
  }

  /**
   * In hybrid mode what this tick publishes goes to this client's own handlers before it goes to the server, which costs a
   * thread that is woken. For handlers that are short: the server waits for them.
   */
  deliverHereFirst(): void {
    if (this.#gathering !== undefined) this.#gathering.isHereFirst = true;
  }

  /** How many publishes have no outcome. It looks at each of them. */
  get unsettled(): number {
    const batches = [...this.#open.values(), ...(this.#gathering ? [this.#gathering] : [])];
    // A publish that is tried again is in two batches.
    const counts = batches.map(({ outcomes, options }) =>
      outcomes.reduce<number>((sum, outcome, index) => {
        const again = options[index]?.retried !== undefined;
        return outcome === undefined && !again ? sum + 1 : sum;
      }, 0),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Events of a batch were delivered to subscriptions of this client. */
  deliveredLocally(run: LocalDeliveryRun): void {
    const batch = this.#open.get(run[0]);
    if (batch === undefined) return;
    batch.local ??= [];
    for (let at = 1; at < run.length; at += 2) {
      batch.local[run[at] as number] = run[at + 1] as number;
    }
  }

  /** A publish succeeded without the server. */
  settledLocally([number, index, timestamp, remote, id]: LocalSettlement): void {
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
    const isWatched = batch.isOnlyQuiet && !this.#hybrid && this.#record === undefined;
    for (let at = 3, index = run[1]; at < run.length; at += 2, index += 1) {
      if (batch.outcomes[index] !== undefined) continue;
      const id = run[at] as string | 0;
      const receivers = run[at + 1] as number;
      if (isWatched && receivers > 0) {
        batch.settle(index, HEARD);
        continue;
      }
      const result = this.#result(batch, index, id, timestamp, receivers);
      batch.settle(index, result);
      this.#recordPublished(batch, index, result);
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
      if (batch.options[index]?.deduplicate === true) result.duplicate = duplicate;
      batch.settle(index, result);
      if (!duplicate) this.#recordPublished(batch, index, result);
    }
    this.#touched.add(batch);
  }

  /** One event of a batch failed. It is tried again if it was not sent and the settings allow it. */
  failed(number: number, index: number, error: ErrorValue): void {
    const batch = this.#open.get(number);
    if (batch === undefined || batch.outcomes[index] !== undefined) return;
    if (this.#retries !== undefined && this.#retry(batch, index, error)) return;
    batch.settle(index, new PublishFailure(fromValue(error)));
    this.#touched.add(batch);
  }

  /** Lets callers go on, once the results of a drain are settled. */
  resumeCallers(): void {
    if (this.#touched.size === 0) return;
    for (const batch of this.#touched) this.#resume(batch);
    this.#touched.clear();
  }

  /**
   * Refuses every unsettled publish, as the client has closed. Publishes that were only gathered are known not to have
   * been sent.
   */
  close(): void {
    this.#retries?.close();
    this.#timers.clear(this.#timer);
    this.#gathering?.refuse('not_sent');
    this.#raw.take();
    this.#gathering = undefined;
    for (const batch of this.#open.values()) batch.refuse('unknown');
    this.#open.clear();
  }

  #begin(): Batch {
    do this.#lastNumber = (this.#lastNumber + 1) >>> 0;
    while (this.#open.has(this.#lastNumber));
    const batch = new Batch(this.#lastNumber);
    this.#gathering = batch;
    const interval = this.#settings.batchInterval;
    if (interval > 0) this.#timer = this.#timers.set(this.#flushLater, interval);
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
    const options = batch.options[index];
    const result: PublishResult = {
      eventId: options?.id ?? String(id),
      type,
      channel: this.#settings.channelPrefix + (options?.channel ?? type),
      timestamp: options?.timestamp ?? timestamp,
      receivers,
      local: batch.local?.[index] ?? 0,
    };
    if (this.#hybrid) result.remote = 'resolved';
    return result;
  }

  #recordPublished(batch: Batch, index: number, result: PublishResult): void {
    if (this.#record === undefined) return;
    const [, options, data] = batch.linesOf(index);
    const origin = { source: this.#settings.serviceName, instanceId: this.#native.instanceId };
    this.#record(publishedEvent(result, options, data, origin), result, batch.number, index);
  }

  readonly #flushLater = (): void => this.flush();

  readonly #drainAndSend = (): void => {
    this.#drain();
    this.#native.sendHeld();
  };

  #resume(batch: Batch): void {
    batch.resumeCallers();
    if (batch.isHeld && batch.unsettled === batch.quiet) {
      batch.isHeld = false;
      this.#keepAlive.release();
    }
    if (batch.unsettled === 0) this.#open.delete(batch.number);
  }

  /** Keeps the process alive until someone has the result of each event of the batch that he waits for. */
  #hold(batch: Batch): void {
    if (batch.isHeld) return;
    batch.isHeld = true;
    this.#keepAlive.acquire();
  }

  /** The data line of what has bytes. It is their text where the records of a batch are needed again, or where there are none. */
  #given(data: RawJson): string {
    return (this.isKept ? undefined : this.#raw.add(data)) ?? lineOf(data);
  }

  /** Whether what was published is needed again. */
  get isKept(): boolean {
    return this.#retries !== undefined || this.#record !== undefined;
  }

  #inherited(): string {
    return this.#settings.inherit ? inheritedOptions() : '';
  }

  /** Throws `INVALID_TYPE` for what cannot cross as a type. */
  checkType(type: unknown): void {
    if (type === this.#checkedType) return;
    if (typeof type !== 'string') {
      throw invalidAt('ERR_BUS_INVALID_TYPE', 'type', `must be a string, not ${typeof type}`);
    }
    // A line break would shift the records that follow; every other rule is checked by the engine.
    if (type.includes('\n')) {
      throw invalidAt('ERR_BUS_INVALID_TYPE', 'type', 'must not hold a line break');
    }
    this.#checkedType = type;
  }

  #retry(batch: Batch, index: number, error: ErrorValue): boolean {
    const [type, json, data] = batch.linesOf(index);
    const settle = (outcome: PublishResult | PublishFailure) => {
      if (batch.outcomes[index] !== undefined) return;
      batch.settle(index, outcome);
      this.#resume(batch);
    };
    const retry = {
      type,
      json,
      data,
      options: batch.options[index],
      resolve: settle,
      reject: (failure: EventBusError) => settle(new PublishFailure(failure)),
    };
    return this.#retries?.schedule(retry, error, batch.startedAt) ?? false;
  }

  async #abortable(batch: Batch, index: number, signal: AbortSignal): Promise<PublishResult> {
    const abort = () => {
      // Only a publish that was handed over can be cancelled, and only the engine knows whether it was written.
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
