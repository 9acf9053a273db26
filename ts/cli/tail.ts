/** `tail`: events as they come, live or from a stream. */

import { setTimeout as delay } from 'node:timers/promises';
import type { BusEvent, RawJson } from '../../index';
import { matches } from '../doctor/glob';
import type { Command } from './command';
import { EventLines, filterOf, formatOf, passes } from './event-lines';
import { EXIT, notFound, usage } from './failure';
import { countOf, placeOf } from './flags';
import type { Given } from './given';
import type { Session } from './session';
import { streamOf } from './streams';

/** A stream is asked for what is new so often, in ms. */
const EVERY = 200;
const PAGE = 5000;
/** A slow terminal loses events beyond these, and is told. */
const QUEUE = { maxEvents: 1_000_000, maxBytes: 256 << 20 };
/** Waiting lines are written after so long, in ms. */
const FLUSH = 100;

export const tail: Command = {
  name: 'tail',
  summary: 'follows events: live ones, or those of a stream',
  words: '[pattern]',
  count: [0, 1],
  flags: {
    stream: { value: 'name', short: 's', text: 'the events of a stream instead of live ones' },
    from: {
      value: 'place',
      text: 'with --stream: beginning, 10min, a time or a message id; default: what is new',
    },
    group: {
      value: 'name',
      short: 'g',
      text: 'with --stream: begin where the group is; nothing is taken from it',
    },
    channel: { text: 'the pattern is one of channels, such as room:7' },
    filter: { value: 'path=value', text: 'only such events; several of a path: any', many: true },
    limit: { value: 'n', short: 'n', text: 'end after so many' },
    'no-follow': { text: 'with --stream: end at its end' },
    format: { value: 'name', text: 'text, json, data or type' },
    full: { text: 'whole payloads' },
  },
  examples: [
    { line: "tail 'order.*'", text: 'live events, until Ctrl-C' },
    {
      line: 'tail --stream orders --from 10min',
      text: 'what was stored since ten minutes ago, and what follows',
    },
    {
      line: 'tail --stream orders --group billing --no-follow',
      text: 'what a group has not read yet',
    },
    { line: "tail '*' --filter data.status=failed --json > failed.jsonl", text: 'into a file' },
  ],
  more: 'Live events that are published while nobody listens are not seen: --stream shows what is stored.',
  async run(session, given) {
    const { flags } = given;
    const stream = flags.text('stream');
    for (const name of ['from', 'group', 'no-follow']) {
      const isGiven = flags.text(name) !== undefined || flags.has(name);
      if (stream === undefined && isGiven) throw usage(`--${name} needs --stream`);
    }
    const pattern = given.words[0] ?? '*';
    const [foreign] = /[#>{}]/.exec(pattern) ?? [];
    if (foreign !== undefined && !/^(?:room|user):/.test(pattern) && !flags.has('channel')) {
      throw usage(
        `'${pattern}' matches no event type: '${foreign}' means nothing in a pattern. Patterns are those of Redis, with *, ? and [a-z]`,
      );
    }
    const ended = new AbortController();
    const signal = AbortSignal.any([session.signal, ended.signal]);
    const timer = setInterval(() => {
      try {
        session.terminal.flush();
      } catch {
        ended.abort();
      }
    }, FLUSH);
    try {
      if (stream === undefined) await live(session, given, pattern, signal);
      else await stored(session, given, stream, pattern, signal);
    } finally {
      clearInterval(timer);
    }
    return session.signal.aborted ? EXIT.interrupted : undefined;
  },
};

function linesOf(session: Session, { flags }: Given): EventLines {
  const { terminal } = session;
  return new EventLines(terminal, formatOf(flags.text('format'), terminal), flags.has('full'));
}

async function live(
  session: Session,
  given: Given,
  pattern: string,
  signal: AbortSignal,
): Promise<void> {
  const { flags } = given;
  const { terminal } = session;
  const lines = linesOf(session, given);
  const limit = countOf('limit', flags.text('limit')) ?? Number.POSITIVE_INFINITY;
  const filter = filterOf(flags.all('filter'));
  const bus = await session.observer();
  let count = 0;
  let end: (error?: unknown) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  signal.addEventListener('abort', () => end(), { once: true });
  bus.on('gap', ({ from, to }) =>
    terminal.note(`the connection was lost: events between ${from} and ${to} may be missing`),
  );
  const take = (event: Omit<BusEvent, 'data'> & { data: RawJson }) => {
    if (count >= limit) return;
    count += 1;
    try {
      lines.add({ ...event, data: event.data.text });
    } catch (error) {
      end(error);
    }
    if (count >= limit) end();
  };
  const options = {
    data: 'raw',
    queue: QUEUE,
    ...(filter !== undefined && { filter }),
    ...(flags.has('channel') && { by: 'channel' }),
  } as const;
  await bus.subscribe(pattern, take, options as { data: 'raw' });
  terminal.note(`listening to ${pattern}; Ctrl-C ends it`);
  await ended;
  terminal.flush();
  const { eventsDropped, eventsForeign } = bus.getStats();
  if (eventsDropped > 0)
    terminal.note(
      `${eventsDropped} events were dropped: they came faster than they could be written`,
    );
  if (eventsForeign > 0) {
    terminal.note(
      `${eventsForeign} messages were no events in this format: npx oxbus doctor tells which`,
    );
  }
}

async function stored(
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
  let from = await begin(session, given, stream);
  let [count, seen] = [0, 0];
  // Where the page before has ended; a page without it asks anew for the end of the stream.
  let after: string | undefined;
  while (!signal.aborted && count < limit) {
    const page = await ask('replay.page', { stream, from, limit: PAGE, after });
    let last: string | undefined;
    for (const { id, event } of page.events) {
      last = id;
      seen += 1;
      if (count >= limit || !isWanted(event, pattern, filter)) continue;
      lines.addText(event, stream, id);
      count += 1;
    }
    if (last !== undefined) from = behind(last);
    if (page.undecodable > 0) {
      session.terminal.note(`${page.undecodable} entries hold no event that this wire reads`);
      if (page.last !== null) from = behind(page.last.slice(page.last.lastIndexOf(':') + 1));
    }
    after = page.done ? undefined : (page.last ?? undefined);
    if (after !== undefined) continue;
    if (isEnding) break;
    session.terminal.flush();
    await delay(EVERY, undefined, { signal }).catch(() => {});
  }
  if (isEnding && count === 0) {
    throw notFound(`none of the ${seen} events there matches '${pattern}'`);
  }
}

/** Where to begin: where the group is, at the place that is given, or behind the newest entry. */
async function begin(session: Session, { flags }: Given, stream: string): Promise<string | number> {
  const [place, name] = [placeOf('from', flags.text('from')), flags.text('group')];
  const info = await streamOf(session, stream);
  if (name === undefined) {
    return place ?? behind(flags.has('no-follow') ? '0-0' : (info.lastId ?? '0-0'));
  }
  if (place !== undefined) throw usage('give one of --from and --group');
  const group = info.groups.find((one) => one.name === name);
  if (group === undefined) throw notFound(`the stream '${stream}' has no group '${name}'`);
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

function isWanted(
  text: string,
  pattern: string,
  filter: Record<string, unknown[]> | undefined,
): boolean {
  if (pattern === '*' && filter === undefined) return true;
  const event = JSON.parse(text) as { type: string };
  return matches(pattern, event.type) && passes(event, filter);
}
