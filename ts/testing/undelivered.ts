/** What the clients of a test bus have published and nobody has handled. */

import type { BusEvent } from '../../index';
import type { Undelivered } from '../../testing';
import type { HandlerInput, NativeBroker, RawEvent } from '../native/native';
import { copyOf, type PublishedEvents } from './published-events';

/** So many ids are kept; the oldest one goes first. */
const MAX_DELIVERED = 100_000;

/** The events that a handler was called with, of any client of a test bus. */
export class Delivered {
  readonly #ids = new Set<string>();

  readonly note = (event: HandlerInput): void => {
    for (const { id } of [event].flat()) this.#ids.add(id);
    for (const id of this.#ids) {
      if (this.#ids.size <= MAX_DELIVERED) break;
      this.#ids.delete(id);
    }
  };

  has(event: RawEvent): boolean {
    return this.#ids.has(event.id);
  }
}

/** An entry that a group has not settled, as the broker tells it. */
type Unsettled = [messageId: string, group: string, read: boolean, event: RawEvent | null];

/** What is left over of what these clients have published, and of what is in the streams that they have published to. */
export function undelivered(
  published: readonly PublishedEvents[],
  broker: NativeBroker,
  delivered: Delivered,
): Undelivered<BusEvent>[] {
  const all = published.flatMap((one) => one.all());
  const streams = new Set(all.flatMap(({ entry }) => (entry === undefined ? [] : [entry.stream])));
  const unsettled = new Map([...streams].map((stream) => [stream, unsettledOf(broker, stream)]));
  const left: Undelivered<BusEvent>[] = [];
  for (const { event, entry } of all) {
    const entries = entry && unsettled.get(entry.stream);
    const groups = entry && entries?.get(entry.messageId);
    if (groups !== undefined) {
      left.push(...groups);
      entries?.delete(entry?.messageId ?? '');
    } else if (!delivered.has(event)) {
      left.push({ ...copyOf(event), ...entry, state: 'unhandled' });
    }
  }
  // What was not published here: events that were replayed.
  for (const entries of unsettled.values()) left.push(...[...entries.values()].flat());
  return left;
}

/** By message id: the event once for each group that has not settled it. */
function unsettledOf(broker: NativeBroker, stream: string): Map<string, Undelivered<BusEvent>[]> {
  const entries = new Map<string, Undelivered<BusEvent>[]>();
  for (const [messageId, group, read, event] of JSON.parse(
    broker.unsettled(stream),
  ) as Unsettled[]) {
    if (event === null) continue;
    const state = read ? 'pending' : 'unread';
    const one: Undelivered<BusEvent> = { ...copyOf(event), stream, messageId, group, state };
    const others = entries.get(messageId);
    if (others === undefined) entries.set(messageId, [one]);
    else others.push(one);
  }
  return entries;
}
