// The account of each group on each stream: what it has handled, what ended among its dead letters, and what it was
// told to have lost, against what the server has accepted.

import { flat } from './entries.mjs';

/** How many entries a stream has ever taken; what was trimmed is among them. */
export async function acceptedBy(redis, stream) {
  return flat(await redis.xinfo('STREAM', stream))['entries-added'];
}

/**
 * @param written what the processes have written down, by kind
 * @param deadLetters those of the stream
 * @param counts whether an event counts, by its id: what was lost with a master does not
 * @returns the account; `balance` is what the server has accepted and nobody accounts for
 */
export function accountOf({ stream, group, accepted, written, deadLetters, streamOf, counts }) {
  const mine = (record) => record.group === group && streamOf(record.type) === stream;
  const ids = (records, idOf) => new Set(records.map(idOf).filter(counts));
  const dead = ids(
    deadLetters.filter((letter) => letter['dlq-group'] === group),
    ({ eventId }) => eventId,
  );
  const handled = ids(written.handled.filter(mine), ({ id }) => id);
  const both = [...handled].filter((id) => dead.has(id));
  // Its acknowledgement has no answer: it counts if nothing else became of the entry.
  for (const { id } of written.attempted.filter(mine)) if (!dead.has(id)) handled.add(id);
  const told = written.notice
    .filter(({ notice, ...record }) => notice === 'messagesLost' && record.group === group)
    .filter((record) => record.stream === stream)
    .reduce((total, { count }) => total + count, 0);
  const settled = new Set([...handled, ...dead]);
  return {
    ...{ stream, group, accepted, handled: handled.size, dead: dead.size, told },
    ...{ both, settled, balance: accepted - settled.size - told },
  };
}
