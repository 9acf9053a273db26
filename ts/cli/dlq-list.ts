/** `dlq list`: the dead letters. */

import type { Command } from './command';
import { fold } from './event-lines';
import { countOf, WATCH } from './flags';
import { lettersOf } from './letters';
import { ago, Table } from './table';
import { showing } from './watch';

export const dlqList: Command = {
  name: 'dlq list',
  summary: 'the dead letters, oldest first',
  words: '[stream]',
  count: [0, 1],
  flags: {
    group: { value: 'name', short: 'g', text: 'only those of a group' },
    reason: {
      value: 'name',
      text: 'only those of a reason: failed, not-retryable, undecodable, unhandled, crashed',
    },
    limit: { value: 'n', short: 'n', text: 'so many at the most; default all' },
    ...WATCH,
  },
  examples: [
    { line: 'dlq list', text: 'of all streams' },
    { line: 'dlq list orders --group billing --json', text: 'of one group, for a program' },
  ],
  async run(session, given) {
    const { flags, words } = given;
    const { terminal } = session;
    const wanted = {
      stream: words[0],
      group: flags.text('group'),
      reason: flags.text('reason'),
      limit: countOf('limit', flags.text('limit')),
    };
    return showing(session, given, async () => {
      const table = new Table(terminal, [
        { title: 'ID' },
        { title: 'GROUP' },
        { title: 'TYPE' },
        { title: 'TRIES', isNumber: true },
        { title: 'REASON' },
        { title: 'WHEN', isNumber: true },
        { title: 'ERROR' },
      ]);
      let count = 0;
      for await (const page of lettersOf(session, wanted)) {
        for (const { event, fields: _, ...letter } of page) {
          const read = event === null ? null : JSON.parse(event);
          count += 1;
          if (terminal.json) terminal.row({ ...letter, event: read });
          else {
            const { name, message } = letter.error;
            const when = ago(Date.parse(letter.time));
            const error = fold(`${name}: ${message}`, 100);
            table.add(
              letter.id,
              letter.group,
              read?.type ?? null,
              letter.attempts,
              letter.reason,
              when,
              error,
            );
          }
        }
        table.flush();
        terminal.flush();
      }
      if (count === 0) terminal.note('there are no dead letters');
    });
  },
};
