/** Everything that one drain brings, and which part of the client each of it is for. */

import type { RemoteOutcome } from '../../index';
import { busError, describe, type EventBusError, fromValue } from '../errors';
import { type ColumnLengths, Columns, type Envelope, readEvent } from './columns';
import type { ErrorValue, NativeClient, Notice, RawEvent, RunInfo } from './native';
import { type Constructor, constructorOf, copiesOf, type ShapeChange } from './shapes';

/** `[batch, firstIndex, timestamp, id, receivers, id, receivers, …]` */
export type PublishedRun = [number, number, string, ...(string | number)[]];
/**
 * `[batch, firstIndex, timestamp, stream, id, receivers, messageId, duplicate, id, …]`;
 * `duplicate`: 0 or 1
 */
export type StoredRun = [number, number, string, string, ...(string | number)[]];
/**
 * `[batch, index, local, index, local, …]`: to how many subscriptions of this client an event was
 * delivered, in hybrid mode.
 */
export type LocalDeliveryRun = [number, ...number[]];
/** `[batch, index, timestamp, remote, id?]`: a publish that succeeded without the server. */
export type LocalSettlement = [number, number, string, RemoteOutcome, string?];
/** `[sub, firstToken, count, info]`: events that follow each other in the columns. */
export type DeliveryRun = [sub: number, firstToken: number, count: number, info: RunInfo | 0];

/** Everything that is ready, as one drain hands it over. Absent members are empty. */
export interface Drained {
  /** Publishes that succeeded: runs of consecutive indexes. */
  published?: PublishedRun[];
  /** Publishes that were stored. */
  stored?: StoredRun[];
  /** Hybrid mode: publishes that subscriptions of this client took, before they settle. */
  localDeliveries?: LocalDeliveryRun[];
  /** Hybrid mode: publishes that succeeded without the server. */
  settledLocally?: LocalSettlement[];
  failed?: [batch: number, index: number, error: ErrorValue][];
  /** Events for handlers, in order. */
  deliveries?: DeliveryRun[];
  /** What events refer to. */
  envelopes?: Envelope[];
  /** What the client is to know of shapes before it reads events. */
  shapes?: ShapeChange[];
  /** Strings that these and later events refer to by a number. */
  strings?: [number: number, text: string][];
  /** How much `takeColumns` has of the events. */
  columns?: ColumnLengths;
  /** Values that came as JSON text. */
  json?: unknown[];
  /** How many strings `takeRaw` has: one for each event whose subscription gets its data as it is. */
  raw?: [strings: number];
  /** Answers to requests; `events`: so many events of it come in the columns, before those of `deliveries`. */
  replies?: [ticket: number, value: unknown, events?: number][];
  /** Requests that failed. */
  refusals?: [ticket: number, error: ErrorValue][];
  notices?: Notice[];
}

/** The parts of a client that take what was drained. */
export interface DrainSinks {
  readonly publisher: {
    deliveredLocally(run: LocalDeliveryRun): void;
    settledLocally(settlement: LocalSettlement): void;
    published(run: PublishedRun): void;
    stored(run: StoredRun): void;
    failed(batch: number, index: number, error: ErrorValue): void;
    resumeCallers(): void;
  };
  readonly requests: {
    resolve(ticket: number, value: unknown): void;
    reject(ticket: number, error: EventBusError): void;
  };
  readonly notices: { announce(notice: Notice): void };
  readonly dispatcher: {
    deliver(runs: readonly DeliveryRun[], columns: Columns): void;
    /** Fails the calls of runs whose columns cannot be had. */
    fail(runs: readonly DeliveryRun[], error: unknown): void;
  };
}

/** The answer to a request that has events beside its value, which says where they belong by their indexes. */
export interface Answer<V = unknown> {
  readonly value: V;
  readonly events: RawEvent[];
}

/** The events of the replies of a drain. */
interface Beside {
  /** Of each reply that has any, in their order; undefined if they cannot be had. */
  readonly events: (RawEvent[] | undefined)[];
  /** Why they cannot, such as for want of memory. */
  readonly fault: Fault | undefined;
}

interface Fault {
  readonly error: unknown;
}

const NOTHING: Beside = { events: [], fault: undefined };

const gather = (...strings: string[]) => strings;

/** Takes what is ready, and hands it to those that it is for. */
export class Drains {
  readonly #native: Pick<NativeClient, 'drain' | 'takeColumns' | 'takeRaw'>;
  readonly #sinks: DrainSinks;
  readonly #constructors: (Constructor | undefined)[] = [];
  /** The strings that the engine refers to by their numbers. */
  readonly #strings: string[] = [];
  /** Undefined while handlers of a drain run, which may lead to another drain. */
  #columns: Columns | undefined = new Columns(this.#constructors, this.#strings);

  constructor(native: Pick<NativeClient, 'drain' | 'takeColumns' | 'takeRaw'>, sinks: DrainSinks) {
    this.#native = native;
    this.#sinks = sinks;
  }

  /** False if there was nothing. */
  take(): boolean {
    const text = this.#native.drain();
    if (text === '') return false;
    const drained = JSON.parse(text) as Drained;
    if (drained.shapes !== undefined) {
      for (const [shape, keys] of drained.shapes) {
        this.#constructors[shape] = keys && constructorOf(keys, copiesOf(shape));
      }
    }
    if (drained.strings !== undefined) {
      for (const [number, text] of drained.strings) this.#strings[number] = text;
    }
    const { deliveries, replies } = drained;
    const hasEvents =
      deliveries !== undefined || replies?.some(([, , events]) => events !== undefined);
    if (!hasEvents) {
      applyResults(drained, NOTHING, this.#sinks);
      return true;
    }
    const columns = this.#columns ?? new Columns(this.#constructors, this.#strings);
    this.#columns = undefined;
    try {
      const beside = readBeside(columns, replies ?? [], this.#fill(columns, drained));
      applyResults(drained, beside, this.#sinks);
      if (deliveries !== undefined) {
        const { dispatcher } = this.#sinks;
        if (beside.fault === undefined) dispatcher.deliver(deliveries, columns);
        else dispatcher.fail(deliveries, beside.fault.error);
      }
    } finally {
      columns.release();
      this.#columns = columns;
    }
    return true;
  }

  /** Takes what the events of a drain are read from. Returns why that cannot be had, such as for want of memory. */
  #fill(columns: Columns, drained: Drained): Fault | undefined {
    try {
      if (drained.columns !== undefined) columns.take(this.#native, drained.columns);
      if (drained.raw !== undefined) columns.raw = this.#native.takeRaw(gather);
      if (drained.json !== undefined) columns.json = drained.json;
      if (drained.envelopes !== undefined) columns.envelopes = drained.envelopes;
      return undefined;
    } catch (error) {
      return { error };
    }
  }
}

/**
 * Builds the events of replies, also of those that nobody waits for any more: what comes next in the columns begins behind them.
 * From the first one on that cannot be built, nobody knows where others begin.
 */
function readBeside(
  columns: Columns,
  replies: NonNullable<Drained['replies']>,
  taken: Fault | undefined,
): Beside {
  const all: (RawEvent[] | undefined)[] = [];
  let fault = taken;
  for (const [, , count] of replies) {
    if (count === undefined) continue;
    const events: RawEvent[] = [];
    try {
      for (let left = fault === undefined ? count : 0; left > 0; left -= 1) {
        events.push(readEvent(columns));
      }
    } catch (error) {
      fault = { error };
    }
    all.push(events.length === count ? events : undefined);
  }
  return { events: all, fault };
}

/**
 * The order is part of the contract: how many subscriptions of this client took an event is known before its result,
 * and handlers run last, when every result, reply and notice of the drain has been handed out.
 */
function applyResults(drained: Drained, beside: Beside, sinks: DrainSinks): void {
  const { publisher, requests, notices } = sinks;
  if (drained.localDeliveries !== undefined)
    for (const run of drained.localDeliveries) publisher.deliveredLocally(run);
  if (drained.settledLocally !== undefined)
    for (const one of drained.settledLocally) publisher.settledLocally(one);
  if (drained.published !== undefined)
    for (const run of drained.published) publisher.published(run);
  if (drained.stored !== undefined) for (const run of drained.stored) publisher.stored(run);
  if (drained.failed !== undefined) {
    for (const [batch, index, error] of drained.failed) publisher.failed(batch, index, error);
  }
  publisher.resumeCallers();
  if (drained.replies !== undefined) {
    let next = 0;
    for (const [ticket, value, count] of drained.replies) {
      if (count === undefined) {
        requests.resolve(ticket, value);
        continue;
      }
      const events = beside.events[next++];
      if (events !== undefined) requests.resolve(ticket, { value, events } satisfies Answer);
      else requests.reject(ticket, unbuilt(beside.fault?.error));
    }
  }
  if (drained.refusals !== undefined) {
    for (const [ticket, error] of drained.refusals) requests.reject(ticket, fromValue(error));
  }
  if (drained.notices !== undefined) for (const notice of drained.notices) notices.announce(notice);
}

function unbuilt(cause: unknown): EventBusError {
  const message = `the events of an answer could not be built: ${describe(cause)}`;
  return busError('ERR_BUS_INTERNAL', message, { cause });
}
