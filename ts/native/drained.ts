/** Hands everything that one drain has brought to the parts of the client that it is for. */

import { type EventBusError, fromValue } from '../errors';
import type {
  DeliveryRun,
  Drained,
  ErrorValue,
  LocalDeliveryRun,
  LocalSettlement,
  Notice,
  PublishedRun,
  Shape,
  StoredRun,
} from './native';

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
  readonly dispatcher: { deliver(runs: readonly DeliveryRun[], shapes: readonly Shape[]): void };
}

/**
 * The order is part of the contract: how many subscriptions of this client took an event is known before its result,
 * and handlers run last, when every result, reply and notice of the drain has been handed out.
 */
export function applyDrained(drained: Drained, sinks: DrainSinks): void {
  const { publisher, requests, notices, dispatcher } = sinks;
  if (drained.l !== undefined) for (const run of drained.l) publisher.deliveredLocally(run);
  if (drained.u !== undefined) for (const one of drained.u) publisher.settledLocally(one);
  if (drained.p !== undefined) for (const run of drained.p) publisher.published(run);
  if (drained.q !== undefined) for (const run of drained.q) publisher.stored(run);
  if (drained.f !== undefined) {
    for (const [batch, index, error] of drained.f) publisher.failed(batch, index, error);
  }
  publisher.resumeCallers();
  if (drained.r !== undefined) {
    for (const [ticket, value] of drained.r) requests.resolve(ticket, value);
  }
  if (drained.x !== undefined) {
    for (const [ticket, error] of drained.x) requests.reject(ticket, fromValue(error));
  }
  if (drained.n !== undefined) for (const notice of drained.n) notices.announce(notice);
  if (drained.d !== undefined) dispatcher.deliver(drained.d, drained.s ?? []);
}
