/** `groups`: how far each group of each stream is. */

import type { Command } from './command';
import { notFound } from './failure';
import { WATCH } from './flags';
import { listed, streamOf } from './streams';
import { span, Table } from './table';
import { showing } from './watch';

export const groups: Command = {
  name: 'groups',
  summary: 'the groups: consumers, what is pending, what is not read yet',
  words: '[stream]',
  count: [0, 1],
  flags: WATCH,
  examples: [
    { line: 'groups', text: 'of all streams' },
    { line: 'groups orders --watch', text: 'of one stream, again and again' },
  ],
  async run(session, given) {
    const [name] = given.words;
    const { terminal } = session;
    return showing(session, given, async () => {
      const streams = name === undefined ? await listed(session) : [await streamOf(session, name)];
      const table = new Table(terminal, [
        { title: 'STREAM' },
        { title: 'GROUP' },
        { title: 'ALIVE', isNumber: true },
        { title: 'PENDING', isNumber: true },
        { title: 'DELAYED', isNumber: true },
        { title: 'LAG', isNumber: true },
        { title: 'OLDEST PENDING', isNumber: true },
        { title: 'READ UP TO' },
      ]);
      let count = 0;
      for (const stream of streams) {
        for (const group of stream.groups) {
          count += 1;
          const { consumers, ...rest } = group;
          const alive = consumers.filter((one) => one.alive === true).length;
          if (terminal.json) terminal.row({ stream: stream.name, ...rest, alive });
          else {
            table.add(
              stream.name,
              group.name,
              alive,
              group.pending,
              group.delayed,
              group.lag,
              span(group.oldestPendingAge),
              group.lastDeliveredId,
            );
          }
        }
      }
      if (count === 0 && name !== undefined) throw notFound(`the stream '${name}' has no group`);
      if (count === 0) terminal.note('no stream has a group');
      table.flush();
    });
  },
};
