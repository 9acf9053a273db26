/** The dead letters of one stream, or of all, a page at a time. */

import type { RawLetter } from '../native/methods';
import { failureOf } from './failure';
import type { Session } from './session';

/** The first page is short, so that its rows are seen at once. */
const [FIRST, PAGE] = [100, 2000];

export interface Wanted {
  readonly stream?: string | undefined;
  readonly group?: string | undefined;
  readonly reason?: string | undefined;
  readonly limit?: number | undefined;
}

export type Letter = RawLetter<string>;

/** Oldest first. Letters that come meanwhile follow at the end. */
export async function* lettersOf(session: Session, wanted: Wanted): AsyncGenerator<Letter[]> {
  const ask = await session.ask();
  const { stream, group, reason } = wanted;
  let left = wanted.limit ?? Number.POSITIVE_INFINITY;
  let size = FIRST;
  for (let after: string | undefined; left > 0 && !session.signal.aborted; ) {
    let page: Letter[];
    try {
      page = await ask('deadLetters.list', { stream, after, limit: size });
    } catch (error) {
      // An answer has a bound in bytes: large letters come in smaller pages.
      const isTooMuch = size > 1 && /would fit/.test(failureOf(error).message);
      if (!isTooMuch) throw error;
      size = Math.max(1, size >> 2);
      continue;
    }
    const found = page.filter(
      (letter) =>
        (group === undefined || letter.group === group) &&
        (reason === undefined || letter.reason === reason),
    );
    const taken = found.slice(0, left);
    left -= taken.length;
    if (taken.length > 0) yield taken;
    if (page.length < size) return;
    after = page.at(-1)?.id;
    size = size === FIRST ? PAGE : size;
  }
}
