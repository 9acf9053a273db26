/** `history`: past events. */

import type { Command } from './command';
import { EventLines, filterOf, formatOf, passes } from './event-lines';
import { notFound, usage } from './failure';
import { countOf, placeOf } from './flags';

export const history: Command = {
  name: 'history',
  summary: 'past events: what the history of persistence keeps, else what is in the streams',
  words: '[type]',
  count: [0, 1],
  flags: {
    from: { value: 'time', text: 'stored since: 10min, 2h, or a time' },
    to: { value: 'time', text: 'stored until' },
    limit: { value: 'n', text: 'the newest so many, 1–10 000; default 100' },
    oldest: { text: 'the oldest instead' },
    filter: { value: 'path=value', text: 'only such events; several of a path: any', many: true },
    format: { value: 'name', text: 'text, json, data or type' },
    full: { text: 'whole payloads' },
  },
  examples: [
    { line: "history 'order.*' --from 12h", text: 'what happened to orders in the night' },
    { line: 'history order.paid --filter data.orderId=4711 --full', text: 'one order' },
  ],
  async run(session, { words, flags }) {
    const [type] = words;
    const [from, to] = [placeOf('from', flags.text('from')), placeOf('to', flags.text('to'))];
    if (typeof from === 'string' || typeof to === 'string') {
      throw usage('--from and --to of history are times: replay and tail take message ids');
    }
    const ask = await session.ask();
    const { events, complete } = await ask('getHistory', {
      type,
      from,
      to,
      limit: countOf('limit', flags.text('limit')),
      order: flags.has('oldest') ? 'asc' : 'desc',
    });
    const filter = filterOf(flags.all('filter'));
    const read = events.map((text) => JSON.parse(text));
    const found = read.filter((event) => passes(event, filter));
    // The newest are asked for, and shown in the order in which they happened.
    if (!flags.has('oldest')) found.reverse();
    const { terminal } = session;
    const lines = new EventLines(
      terminal,
      formatOf(flags.text('format'), terminal),
      flags.has('full'),
    );
    for (const { id, type: name, data, metadata } of found) {
      lines.add({ id, type: name, metadata, data: JSON.stringify(data) });
    }
    if (!complete) terminal.note('not all could be asked for: the server did not answer');
    if (found.length === 0) throw notFound(`no stored event matches '${type ?? '*'}'`);
    return undefined;
  },
};
