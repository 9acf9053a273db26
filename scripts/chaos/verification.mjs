// Compares what the processes have written down with what Redis holds in the end.

import { readJournal } from './journal.mjs';
import { groups, isBuiltToFail, streams } from './scenario.mjs';

const PAGE = 1000;
const EXAMPLES = 5;

const flat = (list) =>
  Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]]] : [])));

async function readStream(redis, name) {
  const entries = [];
  for (let start = '-'; ; start = `(${entries.at(-1).messageId}`) {
    const page = await redis.xrange(name, start, '+', 'COUNT', PAGE);
    for (const [messageId, fields] of page) entries.push({ messageId, ...flat(fields) });
    if (page.length < PAGE) return entries;
  }
}

/** Where groups still have something to do. The list is empty when everything is read and acknowledged. */
export async function unfinished(redis) {
  const found = [];
  for (const { name } of streams) {
    const { 'last-generated-id': last } = flat(await redis.xinfo('STREAM', name));
    for (const group of (await redis.xinfo('GROUPS', name)).map(flat)) {
      if (group.pending > 0) {
        const held = await redis.xpending(name, group.name, '-', '+', EXAMPLES);
        found.push(`${name} ${group.name}: ${group.pending} pending, ${JSON.stringify(held)}`);
      }
      if (group['last-delivered-id'] !== last) {
        found.push(`${name} ${group.name}: read to ${group['last-delivered-id']} of ${last}`);
      }
    }
  }
  return found;
}

/** All records of the journals, by their kind. */
function gather(journals) {
  const written = { published: [], refused: [], handled: [], notice: [], error: [], stats: [] };
  for (const journal of journals) {
    for (const record of readJournal(journal)) written[record.kind].push(record);
  }
  return written;
}

/** @returns problems, and what is worth knowing when there are none */
export async function verify(redis, journals) {
  const written = gather(journals);
  const problems = [];
  const report = (text, items) => {
    if (items.length === 0) return;
    const some = items.slice(0, EXAMPLES).map((item) => JSON.stringify(item));
    problems.push(`${items.length} ${text}: ${some.join(', ')}`);
  };

  const entries = [];
  const deadLetters = [];
  for (const { name } of streams) {
    entries.push(...(await readStream(redis, name)));
    deadLetters.push(...(await readStream(redis, `${name}:dlq`)));
  }
  const stored = new Map(entries.map((entry) => [entry.eventId, entry]));

  const { published, refused, handled } = written;
  report(
    'publishes resolved and are not stored',
    published.filter(({ id, messageId }) => stored.get(id)?.messageId !== messageId),
  );
  report(
    'publishes were refused and are stored',
    refused.filter(({ id, outcome }) => outcome !== 'unknown' && stored.has(id)),
  );
  report(
    'publishes failed without an outcome',
    refused.filter(({ outcome }) => !['rejected', 'not_sent', 'unknown'].includes(outcome)),
  );
  if (stored.size < entries.length) {
    problems.push(`${entries.length - stored.size} events are stored more than once`);
  }
  report(
    'events were handled that are not those stored',
    handled.filter(
      ({ id, messageId, intact }) => !intact || stored.get(id)?.messageId !== messageId,
    ),
  );

  const duplicates = {};
  for (const group of groups) {
    const runs = handled.filter((record) => record.group === group);
    const ids = new Set(runs.map(({ id }) => id));
    duplicates[group] = runs.length - ids.size;
    report(
      `events were never handled by ${group}`,
      [...stored.values()]
        .filter(({ eventId, eventType }) => !isBuiltToFail(eventType) && !ids.has(eventId))
        .map(({ eventId, eventType, messageId }) => ({ eventId, eventType, messageId })),
    );
    verifyDeadLetters(group, deadLetters, stored, report);
  }
  report('groups have not finished', await unfinished(redis));
  report(
    'times were messages lost',
    written.notice.filter(({ notice }) => notice === 'messagesLost'),
  );
  return { problems, summary: summarise(written, stored, deadLetters, duplicates) };
}

/** Each event that was built to fail is in the dead letters of a group once, and nothing else is. */
function verifyDeadLetters(group, deadLetters, stored, report) {
  const own = deadLetters.filter((deadLetter) => deadLetter['dlq-group'] === group);
  const counts = new Map();
  for (const { eventId } of own) counts.set(eventId, (counts.get(eventId) ?? 0) + 1);
  report(
    `events of ${group} are in the dead letters and could have succeeded`,
    own
      .filter(({ eventType }) => !isBuiltToFail(eventType))
      .map((deadLetter) => ({
        id: deadLetter.eventId,
        type: deadLetter.eventType,
        ...reasonOf(deadLetter),
      })),
  );
  report(
    `dead letters of ${group} are there more than once`,
    [...counts].filter(([, count]) => count > 1),
  );
  report(
    `events that fail are not in the dead letters of ${group}`,
    [...stored.values()]
      .filter(({ eventId, eventType }) => isBuiltToFail(eventType) && !counts.has(eventId))
      .map(({ eventId, eventType, messageId }) => ({ eventId, eventType, messageId })),
  );
}

const reasonOf = (deadLetter) => ({
  reason: deadLetter['dlq-reason'],
  attempts: deadLetter['dlq-attempts'],
  error: deadLetter['dlq-error'],
});

function tally(records, key, amount = () => 1) {
  const counts = {};
  for (const record of records) {
    const name = key(record);
    counts[name] = (counts[name] ?? 0) + amount(record);
  }
  return counts;
}

function summarise(
  { published, refused, handled, notice, error },
  stored,
  deadLetters,
  duplicates,
) {
  return {
    published: published.length,
    refused: tally(refused, ({ outcome }) => outcome),
    stored: stored.size,
    handled: handled.length,
    duplicates,
    deadLetters: tally(deadLetters, (deadLetter) => deadLetter['dlq-reason']),
    notices: tally(
      notice,
      (record) => record.notice,
      ({ count }) => count,
    ),
    errors: tally(error, ({ code }) => code),
  };
}
