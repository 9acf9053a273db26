/** `consumers`: the consumers of groups. */

import type { Command } from './command';
import { notFound } from './failure';
import { WATCH } from './flags';
import { streamOf } from './streams';
import { span, Table } from './table';
import { showing } from './watch';

export const consumers: Command = {
  name: 'consumers',
  summary: 'the consumers of a stream, what each of them has, and whether it lives',
  words: '<stream> [group]',
  count: [1, 2],
  flags: WATCH,
  examples: [
    { line: 'consumers orders', text: 'of all groups of a stream' },
    { line: 'consumers orders billing --json', text: 'of one group, for a program' },
  ],
  async run(session, given) {
    const [name = '', only] = given.words;
    const { terminal } = session;
    return showing(session, given, async () => {
      const { groups } = await streamOf(session, name);
      const wanted = groups.filter((group) => only === undefined || group.name === only);
      if (only !== undefined && wanted.length === 0) {
        throw notFound(`the stream '${name}' has no group '${only}'`);
      }
      const table = new Table(terminal, [
        { title: 'GROUP' },
        { title: 'CONSUMER' },
        { title: 'STATE' },
        { title: 'PENDING', isNumber: true },
        { title: 'IDLE', isNumber: true },
      ]);
      let count = 0;
      for (const group of wanted) {
        for (const consumer of group.consumers) {
          count += 1;
          if (terminal.json) terminal.row({ stream: name, group: group.name, ...consumer });
          else {
            const state =
              consumer.alive === null ? 'other program' : consumer.alive ? 'alive' : 'gone';
            table.add(group.name, consumer.name, state, consumer.pending, span(consumer.idle));
          }
        }
      }
      if (count === 0) terminal.note('nobody reads it');
      table.flush();
    });
  },
};
