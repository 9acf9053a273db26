/** `dlq remove`: forgets single dead letters. */

import { confirmed } from './ask';
import type { Command } from './command';
import { notFound } from './failure';
import { YES } from './flags';

export const dlqRemove: Command = {
  name: 'dlq remove',
  summary: 'removes dead letters: they are gone',
  words: '<id …>',
  count: [1, 1000],
  flags: YES,
  examples: [{ line: 'dlq remove orders:dlq:1763717908123-0 --yes', text: 'one of them' }],
  async run(session, given) {
    const ids = given.words;
    const bus = await session.observer();
    await confirmed(
      session,
      given,
      `remove ${ids.length} dead letter${ids.length === 1 ? '' : 's'}`,
    );
    for (const id of ids) {
      if (!(await bus.deadLetters.remove(id))) throw notFound(`there is no dead letter '${id}'`);
      if (session.terminal.json) session.terminal.row({ id, removed: true });
      else session.terminal.line(`${id} is removed`);
    }
    return undefined;
  },
};
