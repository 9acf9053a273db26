/** Everything that one drain brings, and which part of the client each of it is for. */

import type { RemoteOutcome } from '../../index';
import { type EventBusError, fromValue } from '../errors';
import type { ErrorValue, NativeClient, Notice, RunInfo } from './native';

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
/**
 * `[sub, firstToken, info, event, event, …]`. An event is an object, or the elements that `deliveries.ts` puts together with its shape.
 */
export type DeliveryRun = [number, number, RunInfo | 0, ...unknown[]];
/** In the place of data that the subscription gets as it is: its index in what `takeRaw` returns. */
export type RawPlace = number;
/** `[type, timestamp, source, instanceId, flags, room?]`: the members that events of a drain share. */
export type Shape = [string, string, string, string, number, string?];

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
  /** The shapes that events of `deliveries` refer to. */
  shapes?: Shape[];
  /** How many strings `takeRaw` has: one for each event whose subscription gets its data as it is. */
  raw?: [strings: number];
  /** Answers to requests. */
  replies?: [ticket: number, value: unknown][];
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
    deliver(
      runs: readonly DeliveryRun[],
      shapes: readonly Shape[],
      raw: readonly string[] | undefined,
    ): void;
  };
}

const gather = (...strings: string[]) => strings;

/** Takes what is ready, and hands it to those that it is for. False if there was nothing. */
export function drain(native: Pick<NativeClient, 'drain' | 'takeRaw'>, sinks: DrainSinks): boolean {
  const text = native.drain();
  if (text === '') return false;
  const drained = JSON.parse(text) as Drained;
  apply(drained, sinks, drained.raw === undefined ? undefined : native.takeRaw(gather));
  return true;
}

/**
 * The order is part of the contract: how many subscriptions of this client took an event is known before its result,
 * and handlers run last, when every result, reply and notice of the drain has been handed out.
 */
function apply(drained: Drained, sinks: DrainSinks, raw: readonly string[] | undefined): void {
  const { publisher, requests, notices, dispatcher } = sinks;
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
    for (const [ticket, value] of drained.replies) requests.resolve(ticket, value);
  }
  if (drained.refusals !== undefined) {
    for (const [ticket, error] of drained.refusals) requests.reject(ticket, fromValue(error));
  }
  if (drained.notices !== undefined) for (const notice of drained.notices) notices.announce(notice);
  if (drained.deliveries !== undefined)
    dispatcher.deliver(drained.deliveries, drained.shapes ?? [], raw);
}
