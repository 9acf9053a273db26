/** `dlq replay`: back to the group that failed, or to all. */

import { confirmed, Progress } from './ask';
import type { Command } from './command';
import { EXIT, failureOf, notFound, usage } from './failure';
import { countOf, YES } from './flags';
import type { Given } from './given';
import type { Session } from './session';

/** So many are moved between two looks at how far it is; where some are chosen, the others are read past each time. */
const [STEP, STEP_OF_CHOSEN] = [2000, 10_000];

type Target = 'group' | 'stream';

export const dlqReplay: Command = {
  name: 'dlq replay',
  summary: 'moves dead letters back to their stream, to be handled again',
  words: '[id …]',
  count: [0, 1000],
  flags: {
    all: { text: 'all of them, instead of those that are named' },
    stream: { value: 'name', short: 's', text: 'with --all: those of a stream' },
    group: { value: 'name', short: 'g', text: 'with --all: those of a group' },
    reason: { value: 'name', text: 'with --all: those of a reason' },
    limit: { value: 'n', short: 'n', text: 'with --all: the oldest so many' },
    to: { value: 'whom', text: "'group', which failed (default), or 'stream': all groups" },
    ...YES,
  },
  examples: [
    { line: 'dlq replay orders:dlq:1763717908123-0', text: 'one of them' },
    {
      line: 'dlq replay --all --stream orders --group billing',
      text: 'what a group could not handle',
    },
  ],
  more: 'Each is moved in one step. It can be interrupted and repeated: what was moved is no longer a dead letter.',
  async run(session, given) {
    const { words, flags } = given;
    const to = targetOf(flags.text('to'));
    if (flags.has('all') === words.length > 0)
      throw usage('give the ids of dead letters, or --all');
    return flags.has('all') ? replayAll(session, given, to) : replayThese(session, words, to);
  },
};

function targetOf(given: string | undefined): Target {
  if (given === undefined || given === 'group') return 'group';
  if (given === 'stream') return given;
  throw usage(`--to: must be group or stream, not '${given}'`);
}

async function replayThese(
  session: Session,
  ids: readonly string[],
  to: Target,
): Promise<undefined> {
  const bus = await session.observer();
  const { terminal } = session;
  for (const id of ids) {
    const moved = await bus.deadLetters.replay(id, { to });
    if (moved === null) throw notFound(`there is no dead letter '${id}'`);
    if (terminal.json) terminal.row({ id, ...moved });
    else terminal.line(`${id} is ${moved.messageId} now`);
  }
  return undefined;
}

async function replayAll(session: Session, given: Given, to: Target): Promise<number | undefined> {
  const { flags } = given;
  const chosen = Object.fromEntries(
    ['stream', 'group', 'reason'].flatMap((name) => {
      const value = flags.text(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const limit = countOf('limit', flags.text('limit'));
  const ask = await session.ask();
  const all = await ask('deadLetters.count', chosen);
  const total = Math.min(all, limit ?? all);
  const { terminal } = session;
  if (total > 0) {
    const whom = to === 'group' ? 'the groups that failed' : 'all groups';
    await confirmed(session, given, `move ${total} dead letters back, to ${whom}`);
  }
  const { replayed, failure } = await moved(session, chosen, to, total);
  // The first that cannot be moved ends it.
  const failed = failure === undefined ? 0 : 1;
  if (terminal.json) terminal.row({ replayed, failed, of: total });
  else terminal.line(`${replayed} of ${total} replayed${failed > 0 ? `, ${failed} failed` : ''}`);
  if (failure !== undefined) throw failureOf(failure);
  return session.signal.aborted ? EXIT.interrupted : undefined;
}

/** Moves the oldest first, no more than there were when it began: those that fail again are behind them. */
async function moved(
  session: Session,
  chosen: Readonly<Record<string, string>>,
  to: Target,
  total: number,
): Promise<{ replayed: number; failure?: unknown }> {
  const bus = await session.observer();
  const step = 'group' in chosen || 'reason' in chosen ? STEP_OF_CHOSEN : STEP;
  const progress = new Progress(session, 'replaying', total);
  let replayed = 0;
  try {
    while (replayed < total && !session.signal.aborted) {
      const limit = Math.min(step, total - replayed);
      const count = await bus.deadLetters.replayAll({ ...chosen, to, limit });
      if (count === 0) break;
      replayed += count;
      progress.at(replayed);
    }
    return { replayed };
  } catch (failure) {
    return { replayed: replayed + movedBefore(failure), failure };
  } finally {
    progress.end();
  }
}

/** How many of a step were moved before the one that could not be: the engine says so behind its error. */
function movedBefore(failure: unknown): number {
  const message = failure instanceof Error ? failure.message : '';
  return Number(/ \(after (\d+) were replayed\)$/.exec(message)?.[1] ?? 0);
}
