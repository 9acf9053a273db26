/** `tail`: events as they come, live or from a stream. */

import type { BusEvent, RawJson } from '../../index';
import type { Command } from './command';
import { filterOf, linesOf } from './event-lines';
import { EXIT, usage } from './failure';
import { countOf } from './flags';
import type { Given } from './given';
import type { Session } from './session';
import { tailStream } from './tail-stream';

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
      else await tailStream(session, given, stream, pattern, signal);
    } finally {
      clearInterval(timer);
    }
    return session.signal.aborted ? EXIT.interrupted : undefined;
  },
};

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
