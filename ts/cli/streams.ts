/** `streams`: which there are, and what is in them. */

import type { StreamInfo } from '../../index';
import { matches } from '../doctor/glob';
import type { Command } from './command';
import { notFound } from './failure';
import { countOf, WATCH } from './flags';
import type { Session } from './session';
import { ago, Table } from './table';
import { showing } from './watch';

export const streams: Command = {
  name: 'streams',
  summary: 'the streams, how long they are, and how many dead letters they have',
  words: '[pattern]',
  count: [0, 1],
  flags: {
    scan: { text: 'also look for streams that no client has registered' },
    limit: { value: 'n', text: 'how many are listed at the most; default 1000' },
    ...WATCH,
  },
  examples: [
    { line: 'streams', text: 'all that clients have registered' },
    { line: "streams 'shop:*' --scan", text: 'those of this name, also of other programs' },
    { line: 'streams --json | jq .length', text: 'for a program' },
  ],
  async run(session, given) {
    const pattern = given.words[0];
    const query = {
      ...(given.flags.has('scan') && { scan: true }),
      limit: countOf('limit', given.flags.text('limit')),
    };
    return showing(session, given, async () => {
      const all = await listed(session, query);
      const found = all.filter(({ name }) => pattern === undefined || matches(pattern, name));
      if (pattern !== undefined && found.length === 0) {
        throw notFound(
          `no stream matches '${pattern}' (${all.length} are known; --scan looks for more)`,
        );
      }
      show(session, found);
    });
  },
};

/** All that are known. A stream that is configured and was not made yet is among them. */
export async function listed(
  session: Session,
  query: { scan?: boolean; limit?: number | undefined } = {},
): Promise<StreamInfo[]> {
  const bus = await session.observer();
  return bus.streams.list(query);
}

/** What is known of one stream. Rejects with what says that there is none. */
export async function streamOf(session: Session, name: string): Promise<StreamInfo> {
  const bus = await session.observer();
  return bus.streams.info(name);
}

function show({ terminal }: Session, streams: readonly StreamInfo[]): void {
  if (terminal.json) {
    for (const { groups, ...stream } of streams) {
      terminal.row({ ...stream, groups: groups.map(({ name }) => name) });
    }
    terminal.flush();
    return;
  }
  if (streams.length === 0) {
    terminal.note('no client has registered a stream; --scan looks for those of other programs');
  }
  const table = new Table(terminal, [
    { title: 'STREAM' },
    { title: 'LENGTH', isNumber: true },
    { title: 'GROUPS', isNumber: true },
    { title: 'PENDING', isNumber: true },
    { title: 'LAG', isNumber: true },
    { title: 'DEAD LETTERS', isNumber: true },
    { title: 'NEWEST' },
  ]);
  for (const { name, length, groups, deadLetters, lastId } of streams) {
    const pending = groups.reduce((sum, group) => sum + group.pending, 0);
    const lags = groups.map(({ lag }) => lag);
    const lag = lags.includes(null) ? null : Math.max(0, ...lags.map((one) => one ?? 0));
    const newest = lastId === null ? '-' : ago(Number(lastId.split('-')[0]));
    table.add(name, length, groups.length, pending, lag, deadLetters, newest);
  }
  table.flush();
}
