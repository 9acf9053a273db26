/** `dlq purge`: forgets the dead letters of a stream. */

import { confirmed, Progress } from './ask';
import type { Command } from './command';
import { EXIT, failureOf } from './failure';
import { YES } from './flags';
import { lettersOf } from './letters';

/** So many are removed at once. */
const AT_ONCE = 500;

export const dlqPurge: Command = {
  name: 'dlq purge',
  summary: 'removes the dead letters of a stream: they are gone',
  words: '<stream>',
  count: [1, 1],
  flags: {
    group: { value: 'name', short: 'g', text: 'only those of a group' },
    reason: { value: 'name', text: 'only those of a reason' },
    ...YES,
  },
  examples: [
    { line: 'dlq purge orders', text: 'all of a stream; it asks' },
    { line: 'dlq purge orders --group billing --yes', text: 'those of a group, without asking' },
  ],
  more: 'It removes what was there when it began. It can be interrupted and repeated.',
  async run(session, given) {
    const { flags, words } = given;
    const [stream = ''] = words;
    const wanted = { stream, group: flags.text('group'), reason: flags.text('reason') };
    const bus = await session.observer();
    const ask = await session.ask();
    const total = await ask('deadLetters.count', wanted);
    if (total > 0) await confirmed(session, given, `remove ${total} dead letters of ${stream}`);
    const progress = new Progress(session, 'removing', total);
    let [removed, looked] = [0, 0];
    let failure: unknown;
    for await (const page of lettersOf(session, { ...wanted, limit: total })) {
      for (let at = 0; at < page.length && !session.signal.aborted; at += AT_ONCE) {
        const ids = page.slice(at, at + AT_ONCE).map(({ id }) => id);
        const ended = await Promise.allSettled(ids.map((id) => bus.deadLetters.remove(id)));
        for (const one of ended) {
          if (one.status === 'rejected') failure ??= one.reason;
          else if (one.value) removed += 1;
        }
        looked += ids.length;
        progress.at(looked);
        if (failure !== undefined) break;
      }
      if (failure !== undefined) break;
    }
    progress.end();
    if (session.terminal.json) session.terminal.row({ removed, of: total });
    else session.terminal.line(`${removed} of ${total} removed`);
    if (failure !== undefined) throw failureOf(failure);
    return session.signal.aborted ? EXIT.interrupted : undefined;
  },
};
