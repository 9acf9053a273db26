/** `pending`: what was handed out and not acknowledged. */

import type { Command } from './command';
import { notFound } from './failure';
import { countOf, WATCH } from './flags';
import { streamOf } from './streams';
import { span, Table } from './table';
import { showing } from './watch';

export const pending: Command = {
  name: 'pending',
  summary: 'what was handed out and not acknowledged: by whom it is owned, for how long, how often',
  words: '<stream> [group]',
  count: [1, 2],
  flags: {
    limit: { value: 'n', text: 'how many of each group, 1–10 000; default 100' },
    ...WATCH,
  },
  examples: [
    { line: 'pending orders', text: 'of all groups' },
    { line: 'pending orders billing --limit 1000 --json', text: 'of one group, for a program' },
  ],
  async run(session, given) {
    const [name = '', only] = given.words;
    const limit = countOf('limit', given.flags.text('limit'));
    const { terminal } = session;
    return showing(session, given, async () => {
      const bus = await session.observer();
      const names =
        only === undefined ? (await streamOf(session, name)).groups.map((one) => one.name) : [only];
      if (names.length === 0) throw notFound(`the stream '${name}' has no group`);
      const table = new Table(terminal, [
        { title: 'GROUP' },
        { title: 'MESSAGE ID' },
        { title: 'AGE', isNumber: true },
        { title: 'IDLE', isNumber: true },
        { title: 'DELIVERIES', isNumber: true },
        { title: 'OWNER' },
      ]);
      let count = 0;
      for (const group of names) {
        for (const one of await bus.streams.pending(name, group, { limit })) {
          count += 1;
          const age = Math.max(0, Date.now() - Number(one.id.split('-')[0]));
          if (terminal.json) terminal.row({ stream: name, group, ...one, age });
          else {
            table.add(group, one.id, span(age), span(one.idle), one.deliveryCount, one.consumer);
          }
        }
      }
      if (count === 0) terminal.note('nothing is pending');
      table.flush();
    });
  },
};
