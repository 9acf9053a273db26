/** Past events, as `getHistory` gives them. */

import type { History } from '../../index';

/** The events of these JSON texts, and whether they are all that there are. */
export function historyOf<E>(texts: string[], complete: boolean): History<E> {
  const past = texts.map((text) => JSON.parse(text)) as History<E>;
  // It is not enumerable, so that the result is equal to an array of its events.
  return Object.defineProperty(past, 'complete', { value: complete });
}
