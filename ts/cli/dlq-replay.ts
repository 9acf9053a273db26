/** `dlq replay`: back to the group that failed, or to all. */

import { confirmed, Progress } from './ask';
import type { Command } from './command';
import { EXIT, failureOf, notFound, usage } from './failure';
import { countOf, YES } from './flags';
import type { Given } from './given';
import { lettersOf } from './letters';
import type { Session } from './session';

/** So many are moved between two looks at how far it is; with a group those of others are read past each time. */
const [STEP, STEP_OF_GROUP] = [2000, 10_000];
/** So many are moved at once that are chosen one by one. */
const AT_ONCE = 50;

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
  const [stream, group, reason] = ['stream', 'group', 'reason'].map((name) => flags.text(name));
  const limit = countOf('limit', flags.text('limit'));
  const bus = await session.observer();
  const wanted = { stream, group, reason };
  const all =
    group === undefined && reason === undefined
      ? await bus.deadLetters.count(stream)
      : await counted(session, wanted);
  const total = Math.min(all, limit ?? all);
  const { terminal } = session;
  if (total > 0) {
    const whom = to === 'group' ? 'the groups that failed' : 'all groups';
    await confirmed(session, given, `move ${total} dead letters back, to ${whom}`);
  }
  const progress = new Progress(session, 'replaying', total);
  const moved =
    reason === undefined
      ? await inOrder(session, { stream, group }, to, total, progress)
      : await oneByOne(session, wanted, to, total, progress);
  progress.end();
  const { replayed, failed, failure } = moved;
  if (terminal.json) terminal.row({ replayed, failed, of: total });
  else terminal.line(`${replayed} of ${total} replayed${failed > 0 ? `, ${failed} failed` : ''}`);
  if (failure !== undefined) throw failureOf(failure);
  return session.signal.aborted ? EXIT.interrupted : undefined;
}

interface Moved {
  replayed: number;
  failed: number;
  /** Why one could not be moved. */
  failure: unknown;
}

/** The oldest first, no more than there were when it began: those that fail again are behind them. */
async function inOrder(
  session: Session,
  { stream, group }: { stream: string | undefined; group: string | undefined },
  to: Target,
  total: number,
  progress: Progress,
): Promise<Moved> {
  const bus = await session.observer();
  const step = group === undefined ? STEP : STEP_OF_GROUP;
  const query = {
    to,
    ...(stream !== undefined && { stream }),
    ...(group !== undefined && { group }),
  };
  const moved: Moved = { replayed: 0, failed: 0, failure: undefined };
  while (moved.replayed < total && !session.signal.aborted) {
    const limit = Math.min(step, total - moved.replayed);
    try {
      const count = await bus.deadLetters.replayAll({ ...query, limit });
      if (count === 0) break;
      moved.replayed += count;
    } catch (error) {
      moved.failure = error;
      break;
    }
    progress.at(moved.replayed);
  }
  return moved;
}

/** Those that a reason chooses, which the engine does not choose by. */
async function oneByOne(
  session: Session,
  wanted: Parameters<typeof lettersOf>[1],
  to: Target,
  total: number,
  progress: Progress,
): Promise<Moved> {
  const bus = await session.observer();
  const moved: Moved = { replayed: 0, failed: 0, failure: undefined };
  const move = async (id: string) => {
    try {
      if ((await bus.deadLetters.replay(id, { to })) !== null) moved.replayed += 1;
    } catch (error) {
      moved.failed += 1;
      moved.failure ??= error;
    }
  };
  for await (const page of lettersOf(session, { ...wanted, limit: total })) {
    for (let at = 0; at < page.length && !session.signal.aborted; at += AT_ONCE) {
      await Promise.all(page.slice(at, at + AT_ONCE).map(({ id }) => move(id)));
      progress.at(moved.replayed + moved.failed);
    }
  }
  return moved;
}

async function counted(session: Session, wanted: Parameters<typeof lettersOf>[1]): Promise<number> {
  let count = 0;
  for await (const page of lettersOf(session, wanted)) count += page.length;
  return count;
}
