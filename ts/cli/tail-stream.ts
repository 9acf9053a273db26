/** `tail --stream`: what a stream holds, and what is stored in it from now on. */

import { setTimeout as delay } from 'node:timers/promises';
import type { StreamInfo } from '../../index';
import { matches } from '../doctor/glob';
import type { Replies } from '../native/methods';
import { filterOf, linesOf, passes } from './event-lines';
import { EXIT, failureOf, notFound, usage } from './failure';
import { countOf, placeOf } from './flags';
import type { Given } from './given';
import type { Session } from './session';
import { StreamEnd } from './stream-end';
import { streamOf } from './streams';

const PAGE = 5000;
/** A server that does not answer is asked again after so long, in ms. */
const AGAIN = 500;
/** The last number of an entry of one millisecond. */
const LAST_OF_MS = '18446744073709551615';

export async function tailStream(
  session: Session,
  given: Given,
  stream: string,
  pattern: string,
  signal: AbortSignal,
): Promise<void> {
  const { flags } = given;
  const lines = linesOf(session, given);
  const limit = countOf('limit', flags.text('limit')) ?? Number.POSITIVE_INFINITY;
  const filter = filterOf(flags.all('filter'));
  const isEnding = flags.has('no-follow');
  const ask = await session.ask();
  const info = await streamOf(session, stream);
  let from = begin(session, given, info);
  let [count, seen, isLost] = [0, 0, false];
  // Where the page before has ended; a page without it asks anew for the end of the stream.
  let after: string | undefined;
  // A format may name the key, which the server has to be asked for.
  const end = new StreamEnd(await session.config(), info.name, signal);
  try {
    while (!signal.aborted && count < limit) {
      let page: Replies['replay.page'];
      try {
        page = await ask('replay.page', { stream, from, limit: PAGE, after });
        isLost = false;
      } catch (error) {
        const failure = failureOf(error);
        if (isEnding || failure.exit !== EXIT.unreachable) throw error;
        if (!isLost)
          session.terminal.note(`${failure.message}; it goes on when the server is back`);
        [isLost, after] = [true, undefined];
        await delay(AGAIN, undefined, { signal }).catch(() => {});
        continue;
      }
      for (const { id, event } of page.events) {
        seen += 1;
        if (count >= limit || !isWanted(event, pattern, filter)) continue;
        lines.addText(event, info.name, id);
        count += 1;
      }
      if (page.undecodable > 0) {
        session.terminal.note(`${page.undecodable} entries hold no event that this wire reads`);
      }
      if (page.last !== null) from = behind(page.last.slice(page.last.lastIndexOf(':') + 1));
      after = page.done ? undefined : (page.last ?? undefined);
      if (after !== undefined || count >= limit) continue;
      if (isEnding) break;
      session.terminal.flush();
      await end.passes(previous(from));
    }
  } finally {
    end.close();
  }
  if (isEnding && count === 0) {
    throw notFound(`none of the ${seen} events there matches '${pattern}'`);
  }
}

/** Where to begin: where the group is, at the place that is given, or behind the newest entry. */
function begin(session: Session, { flags }: Given, info: StreamInfo): string | number {
  const [place, name] = [placeOf('from', flags.text('from')), flags.text('group')];
  if (name === undefined) {
    return place ?? behind(flags.has('no-follow') ? '0-0' : (info.lastId ?? '0-0'));
  }
  if (place !== undefined) throw usage('give one of --from and --group');
  const group = info.groups.find((one) => one.name === name);
  if (group === undefined) throw notFound(`the stream '${info.name}' has no group '${name}'`);
  session.terminal.note(
    `${name} has ${group.pending} pending, and has not read ${group.lag ?? 'some'} of what follows`,
  );
  return behind(group.lastDeliveredId);
}

/** The id of the next entry at the earliest. */
function behind(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  return `${ms}-${BigInt(sequence) + 1n}`;
}

/** The id before that of an entry, or before those of a time, which is in ms. */
function previous(place: string | number): string {
  const [ms = '0', sequence = '0'] = String(place).split('-');
  if (sequence !== '0') return `${ms}-${BigInt(sequence) - 1n}`;
  return ms === '0' ? '0-0' : `${BigInt(ms) - 1n}-${LAST_OF_MS}`;
}

function isWanted(
  text: string,
  pattern: string,
  filter: Record<string, unknown[]> | undefined,
): boolean {
  if (pattern === '*' && filter === undefined) return true;
  const event = JSON.parse(text) as { type: string };
  return matches(pattern, event.type) && passes(event, filter);
}
