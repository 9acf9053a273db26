/** Reads the events of a delivery run. */

import { type Columns, readEvent, readMessageId } from './columns';
import type { RawEvent } from './native';

/** The events of a run that is one batch, and their message ids. */
export function batchOf(
  count: number,
  columns: Columns,
): { events: RawEvent[]; messageIds: string[] } {
  const events: RawEvent[] = [];
  const messageIds: string[] = [];
  for (let index = 0; index < count; index += 1) {
    messageIds.push(readMessageId(columns));
    events.push(readEvent(columns));
  }
  return { events, messageIds };
}
