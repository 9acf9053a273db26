/** `trim`: removes the oldest entries of a stream. */

import type { TrimOptions } from '../../index';
import { confirmed } from './ask';
import type { Command } from './command';
import { usage } from './failure';
import { countOf, placeOf, YES } from './flags';
import type { Given } from './given';
import { streamOf } from './streams';

export const trim: Command = {
  name: 'trim',
  summary: 'removes the oldest entries of a stream, read or not',
  words: '<stream>',
  count: [1, 1],
  flags: {
    'max-length': { value: 'n', text: 'keep the newest so many' },
    before: { value: 'time', text: 'remove what was stored before: 7d, or a time' },
    'min-id': { value: 'id', text: 'remove what is before this message id' },
    ...YES,
  },
  examples: [
    { line: 'trim orders --before 7d', text: 'what is older than a week; it asks' },
    { line: 'trim orders --max-length 100000 --yes', text: 'keeps the newest' },
  ],
  async run(session, given) {
    const [stream = ''] = given.words;
    const options = whatStays(given);
    const { length, groups } = await streamOf(session, stream);
    const unread = groups.filter(({ lag, pending }) => lag === null || lag > 0 || pending > 0);
    const behind = unread.map(
      ({ name, lag, pending }) => `${name} (lag ${lag ?? '?'}, ${pending} pending)`,
    );
    const warned = behind.length > 0 ? `; not done with all: ${behind.join(', ')}` : '';
    await confirmed(session, given, `trim ${stream}, which has ${length} entries${warned}`);
    const bus = await session.observer();
    const removed = await bus.streams.trim(stream, options);
    if (session.terminal.json) session.terminal.row({ stream, removed });
    else session.terminal.line(`${removed} of ${length} entries of ${stream} are removed`);
    return undefined;
  },
};

function whatStays({ flags }: Given): TrimOptions {
  const maxLength = countOf('max-length', flags.text('max-length'), 0);
  const [before, minId] = [placeOf('before', flags.text('before')), flags.text('min-id')];
  if ([maxLength, before, minId].filter((one) => one !== undefined).length !== 1) {
    throw usage('give one of --max-length, --before and --min-id');
  }
  if (maxLength !== undefined) return { maxLength };
  if (minId !== undefined) return { minId };
  if (typeof before === 'number') return { before };
  throw usage('--before: must be a time span such as 7d, or a time; --min-id takes message ids');
}
