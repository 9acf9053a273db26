/** `replay`: a group gets past events once more. */

import { confirmed, Progress } from './ask';
import type { Command } from './command';
import { EXIT, notFound, usage } from './failure';
import { countOf, placeOf, YES } from './flags';
import { streamOf } from './streams';

/** So many are counted, and sent, at once. */
const [COUNTED, SENT] = [10_000, 64];

export const replay: Command = {
  name: 'replay',
  summary: 'gives a group past events of a stream once more; other groups take no notice',
  words: '<stream> <group>',
  count: [2, 2],
  flags: {
    from: { value: 'place', text: 'beginning, 10min, a time or a message id; needed' },
    to: { value: 'place', text: 'up to this one; default: what is stored now' },
    limit: { value: 'n', short: 'n', text: 'so many at the most' },
    ...YES,
  },
  examples: [
    {
      line: 'replay orders billing --from 2026-01-31T22:00:00Z --to 2026-02-01T06:00:00Z',
      text: 'the events of a night',
    },
    { line: 'replay orders billing --from 1763717908123-0 --limit 1 --yes', text: 'one event' },
  ],
  more: 'Each is appended as a new entry that only this group handles. When it is interrupted it says where it was.',
  async run(session, given) {
    const { flags, words } = given;
    const [stream = '', group = ''] = words;
    const [from, to] = [placeOf('from', flags.text('from')), placeOf('to', flags.text('to'))];
    if (from === undefined) throw usage('give --from: beginning, 10min, a time or a message id');
    const limit = countOf('limit', flags.text('limit')) ?? Number.POSITIVE_INFINITY;
    const info = await streamOf(session, stream);
    if (!info.groups.some(({ name }) => name === group)) {
      throw notFound(`the stream '${stream}' has no group '${group}'`);
    }
    const ask = await session.ask();
    const range = { stream, from, to };
    let total = 0;
    for (let after: string | undefined, done = false; !done && total < limit; ) {
      const page = await ask('replay.page', { ...range, limit: COUNTED, after });
      total += page.events.length;
      after = page.last ?? undefined;
      done = page.done || after === undefined || session.signal.aborted;
    }
    total = Math.min(total, limit);
    if (total === 0) throw notFound(`${stream} holds no event there`);
    await confirmed(session, given, `give ${group} ${total} events of ${stream} once more`);
    const progress = new Progress(session, 'replaying', total);
    let [replayed, failed] = [0, 0];
    let lastId: string | null = null;
    for (let after: string | undefined, done = false; !done && replayed + failed < total; ) {
      if (session.signal.aborted) break;
      const page = await ask('replay.group', {
        ...range,
        group,
        limit: Math.min(SENT, total - replayed - failed),
        after,
        ...(after !== undefined && { replayed }),
      });
      replayed += page.replayed;
      failed += page.failed;
      lastId = page.lastId ?? lastId;
      after = page.last ?? undefined;
      done = page.done || after === undefined;
      progress.at(replayed + failed);
    }
    progress.end();
    const { terminal } = session;
    if (terminal.json) terminal.row({ stream, group, replayed, failed, of: total, lastId });
    else {
      const undecodable = failed > 0 ? `, ${failed} entries hold no event` : '';
      terminal.line(`${replayed} of ${total} replayed, up to ${lastId}${undecodable}`);
    }
    return session.signal.aborted ? EXIT.interrupted : undefined;
  },
};
