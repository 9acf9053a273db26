/** Past events, as `getHistory` gives them. */

import type { History } from '../../index';
import { readMoment, readOptions } from '../input/options';

/** The query as the engine takes it. Throws `INVALID_OPTIONS`. */
export function readHistoryQuery(query: unknown): Record<string, unknown> {
  const read = readOptions(query, ['type', 'from', 'to', 'limit', 'source', 'order']);
  read.from = readMoment(read.from, 'from');
  read.to = readMoment(read.to, 'to');
  return read;
}

/** The events of these JSON texts, and whether they are all that there are. */
export function historyOf<E>(texts: string[], complete: boolean): History<E> {
  const past = texts.map((text) => JSON.parse(text)) as History<E>;
  // It is not enumerable, so that the result is equal to an array of its events.
  return Object.defineProperty(past, 'complete', { value: complete });
}
