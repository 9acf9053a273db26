/** What a client of a test bus has published, in the order of publishing. */

import type { BusEvent } from '../../index';
import { native, type RawEvent } from '../native/native';
import type { RecordPublished } from '../publish/published-event';
import { OWN_TYPES, OWN_USERS } from '../request/protocol';

/** So many published events are kept; the oldest one goes first. */
const MAX_PUBLISHED = 100_000;

/** A published event, with its place in the order of publishing. */
interface Published {
  event: RawEvent;
  /** The entry that stores it. */
  entry: { stream: string; messageId: string } | undefined;
  batch: number;
  index: number;
}

export class PublishedEvents {
  readonly #all: Published[] = [];

  readonly record: RecordPublished = (event, result, batch, index) => {
    const { stream, messageId } = result;
    const entry =
      stream === undefined || messageId === undefined ? undefined : { stream, messageId };
    this.#insert({ event, entry, batch, index });
    if (this.#all.length > MAX_PUBLISHED) this.#all.shift();
  };

  all(): readonly Published[] {
    return this.#all;
  }

  /** Copies of those whose type matches. What answers requests, and takes them back, is among them only where it is named. */
  matching(pattern: string | undefined): BusEvent[] {
    const events: BusEvent[] = [];
    const isNamed = pattern?.startsWith(OWN_TYPES) === true;
    for (const { event } of this.#all) {
      if (isOwn(event) && !isNamed) continue;
      if (pattern === undefined || native.matches(pattern, event.type)) events.push(copyOf(event));
    }
    return events;
  }

  /** Results come nearly in the order of publishing, so the search begins at the end. */
  #insert(one: Published): void {
    let at = this.#all.length;
    for (; at > 0; at -= 1) {
      const before = this.#all[at - 1] as Published;
      if (before.batch < one.batch || (before.batch === one.batch && before.index < one.index)) {
        break;
      }
    }
    this.#all.splice(at, 0, one);
  }
}

/** Whether it is an event by which clients tell each other of requests, and not the request itself. */
function isOwn({ type, metadata: { toUser } }: RawEvent): boolean {
  return type.startsWith(OWN_TYPES) && typeof toUser === 'string' && toUser.startsWith(OWN_USERS);
}

/** `structuredClone` would make objects of another realm than the one of the test. */
export function copyOf(event: RawEvent): BusEvent {
  return JSON.parse(JSON.stringify(event)) as BusEvent;
}
