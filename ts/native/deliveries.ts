/** Reads the events of a delivery run: whole objects, or what their shape puts together. */

import { giveRaw } from '../raw-json';
import type { DeliveryRun, Shape } from './drained';
import type { RawEvent } from './native';

/** Where the elements of a run begin, behind the subscription, the first token and the facts. */
export const FIRST_ELEMENT = 3;

/** Flags of a shape: which ids precede the data of its events. */
const HAS_CORRELATION = 1;
const HAS_CAUSATION = 2;

/** The event at a place of a run. `raw` holds the data, for a subscription that gets it as it is. */
export function eventAt(
  run: DeliveryRun,
  at: number,
  shapes: readonly Shape[],
  raw: readonly string[] | undefined,
): RawEvent {
  const event = crossedAt(run, at, shapes);
  if (raw !== undefined) giveRaw(event, raw);
  return event;
}

function crossedAt(run: DeliveryRun, at: number, shapes: readonly Shape[]): RawEvent {
  const element = run[at];
  if (typeof element !== 'number') return element as RawEvent;
  const shape = shapes[element] as Shape;
  const flags = shape[4];
  let next = at + 1;
  const id = run[next++] as string;
  const metadata: RawEvent['metadata'] = {
    timestamp: shape[1],
    source: shape[2],
    instanceId: shape[3],
    correlationId: (flags & HAS_CORRELATION) === 0 ? id : (run[next++] as string),
  };
  if ((flags & HAS_CAUSATION) !== 0) metadata.causationId = run[next++];
  if (shape[5] !== undefined) metadata.room = shape[5];
  return { id, type: shape[0], data: run[next], metadata };
}

/** How many elements the event at a place of a run takes. */
export function lengthAt(run: DeliveryRun, at: number, shapes: readonly Shape[]): number {
  const element = run[at];
  if (typeof element !== 'number') return 1;
  const flags = (shapes[element] as Shape)[4];
  // The number of the shape, the id and the data; and those ids that differ from it.
  return 3 + (flags & HAS_CORRELATION) + ((flags & HAS_CAUSATION) >> 1);
}

/** The events of a run that is one batch, and their message ids. */
export function batchOf(
  run: DeliveryRun,
  shapes: readonly Shape[],
  raw: readonly string[] | undefined,
): { events: RawEvent[]; messageIds: string[] } {
  const events: RawEvent[] = [];
  const messageIds: string[] = [];
  let at = FIRST_ELEMENT;
  while (at < run.length) {
    messageIds.push(run[at++] as string);
    events.push(eventAt(run, at, shapes, raw));
    at += lengthAt(run, at, shapes);
  }
  return { events, messageIds };
}
