/** `groups move`: where a group goes on reading. */

import { confirmed } from './ask';
import type { Command } from './command';
import { notFound, usage } from './failure';
import { placeOf, YES } from './flags';
import { streamOf } from './streams';

export const groupMove: Command = {
  name: 'groups move',
  summary: 'sets where a group goes on reading; what is pending stays so',
  words: '<stream> <group>',
  count: [2, 2],
  flags: {
    to: { value: 'place', text: 'beginning, new, 10min, a time, or behind a message id; needed' },
    ...YES,
  },
  examples: [
    { line: 'groups move orders billing --to new', text: 'past all that it has not read' },
    {
      line: 'groups move orders billing --to 2h',
      text: 'back to what was stored since two hours ago',
    },
  ],
  async run(session, given) {
    const [stream = '', group = ''] = given.words;
    const text = given.flags.text('to');
    if (text === undefined) throw usage('give --to: beginning, new, 10min, a time or a message id');
    const place = text === 'new' || text === 'beginning' ? text : placeOf('to', text);
    const info = await streamOf(session, stream);
    const before = info.groups.find(({ name }) => name === group);
    if (before === undefined) throw notFound(`the stream '${stream}' has no group '${group}'`);
    const { lastDeliveredId, lag } = before;
    await confirmed(
      session,
      given,
      `move ${group} of ${stream} from ${lastDeliveredId} (lag ${lag ?? 'unknown'}) to ${text}`,
    );
    const bus = await session.observer();
    const position = typeof place === 'number' ? new Date(place) : (place ?? 'new');
    await bus.streams.setPosition(stream, group, position);
    const after = (await streamOf(session, stream)).groups.find(({ name }) => name === group);
    const row = {
      stream,
      group,
      from: lastDeliveredId,
      to: after?.lastDeliveredId,
      lag: after?.lag,
    };
    if (session.terminal.json) session.terminal.row(row);
    else
      session.terminal.line(
        `${group} of ${stream} is at ${row.to} now (lag ${row.lag ?? 'unknown'})`,
      );
    return undefined;
  },
};
