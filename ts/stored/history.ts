/** Past events, as `getHistory` gives them. */

import type { History } from '../../index';
import { readMoment, readOptions } from '../input/options';
import type { RawEvent } from '../native/native';

/** The query as the engine takes it. Throws `INVALID_OPTIONS`. */
export function readHistoryQuery(query: unknown): Record<string, unknown> {
  const read = readOptions(query, ['type', 'from', 'to', 'limit', 'source', 'order']);
  read.from = readMoment(read.from, 'from');
  read.to = readMoment(read.to, 'to');
  return read;
}

/** These events, and whether they are all that there are. */
export function historyOf<E>(events: RawEvent[], complete: boolean): History<E> {
  // It is not enumerable, so that the result is equal to an array of its events.
  return Object.defineProperty(events as History<E>, 'complete', { value: complete });
}
