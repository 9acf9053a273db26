/** `dlq show`: one dead letter with all that is known of it. */

import type { Command } from './command';
import { notFound } from './failure';
import { shown } from './table';

export const dlqShow: Command = {
  name: 'dlq show',
  summary: 'a dead letter: why it failed, with its stack, its event and its fields',
  words: '<id>',
  count: [1, 1],
  flags: {},
  examples: [
    { line: 'dlq show orders:dlq:1763717908123-0', text: 'the id is the first column of dlq list' },
  ],
  async run(session, { words }) {
    const [id = ''] = words;
    const bus = await session.observer();
    const letter = await bus.deadLetters.get(id);
    if (letter === null) throw notFound(`there is no dead letter '${id}'`);
    const { terminal } = session;
    if (terminal.json) {
      terminal.row(letter);
      return undefined;
    }
    const { event, error, fields } = letter;
    const { name, message, stack, ...more } = error;
    const rows: [string, string][] = [
      ['id', letter.id],
      ['stream', `${letter.stream} ${letter.messageId}`],
      ['group', letter.group],
      ['consumer', letter.consumer],
      ['tries', String(letter.attempts)],
      ['reason', letter.reason],
      ['when', letter.time],
      ['error', `${name}: ${message}`],
      ...Object.entries(more).map(([key, value]): [string, string] => [key, JSON.stringify(value)]),
    ];
    if (event !== null) {
      rows.push(['type', event.type], ['event id', event.id]);
      rows.push(['metadata', JSON.stringify(event.metadata)]);
    }
    for (const [key, value] of rows)
      terminal.line(`${terminal.paint(key.padEnd(9), 'dim')} ${shown(value)}`);
    if (typeof stack === 'string') {
      terminal.line('');
      for (const line of stack.split('\n')) terminal.line(shown(line));
    }
    terminal.line('');
    const text =
      event === null ? JSON.stringify(fields, null, 2) : JSON.stringify(event.data, null, 2);
    for (const line of text.split('\n')) terminal.line(shown(line));
    return undefined;
  },
};
