// Compares what the processes have written down with what Redis holds in the end.

import { acceptedBy, accountOf } from './accounts.mjs';
import { withBefore } from './build.mjs';
import { verifyDelays } from './delays.mjs';
import { flat, readStream } from './entries.mjs';
import { readJournal } from './journal.mjs';
import {
  failsOver,
  foreignLease,
  isBuiltToFail,
  isTrimmed,
  losesEntries,
  settings,
} from './scenario.mjs';
import { summarise } from './summary.mjs';

const EXAMPLES = 5;

/** Where groups still have something to do. The list is empty when everything is read and settled. */
export async function unfinished(redis, setting) {
  const found = [];
  for (const { name } of settings[setting].streams) {
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
  const names = ['published', 'refused', 'handled', 'attempted', 'delayed', 'notice', 'error'];
  const written = Object.fromEntries([...names, 'warning', 'stats'].map((kind) => [kind, []]));
  for (const journal of journals) {
    for (const record of readJournal(journal)) written[record.kind].push(record);
  }
  return written;
}

/** @returns problems, the accounts of the groups, and what is worth knowing when there are no problems */
export async function verify({ redis, setting, journals, deadLettersOf }) {
  const { streams } = settings[setting];
  const written = gather(journals);
  const problems = [];
  const report = (text, items) => {
    if (items.length === 0) return;
    const some = items.slice(0, EXAMPLES).map((item) => JSON.stringify(item));
    problems.push(`${items.length} ${text}: ${some.join(', ')}`);
  };

  const entries = [];
  const deadLetters = [];
  const accounts = [];
  const streamOf = (type) => `chaos-${type.split('.')[1]}`;
  for (const { name, consumerGroups } of streams) {
    const own = await readStream(redis, deadLettersOf(name));
    const held = await readStream(redis, name);
    const stored = new Set(held.map(({ eventId }) => eventId));
    const counts = (id) => !failsOver(setting) || stored.has(id);
    entries.push(...held);
    deadLetters.push(...own);
    const accepted = await acceptedBy(redis, name);
    for (const { name: group } of consumerGroups) {
      accounts.push(
        accountOf({ stream: name, group, accepted, written, deadLetters: own, streamOf, counts }),
      );
    }
  }
  const trimmed = new Set(streams.filter(isTrimmed).map(({ name }) => name));
  const resolved = resolvedBy(written, entries);
  // What was lost with a master, for which nobody waited until the replicas had it, is counted and no problem.
  const lost = new Set(failsOver(setting) ? resolved.alone.lost : []);
  written.published = written.published.filter(({ id }) => !lost.has(id));
  verifyPublishes({ written, entries, streamOf, trimmed, report });
  verifyGroups({ written, accounts, deadLetters, streams, streamOf, report });
  // The build before takes over after the lease, whoever has an entry.
  if (!withBefore) verifyForeign(written, report);
  if (setting === 'calm') verifyDelays(written, report);
  report('groups have not finished', await unfinished(redis, setting));
  const inBrief = accounts.map(({ both, settled, ...account }) => account);
  const summary = summarise(written, deadLetters);
  if (!failsOver(setting)) return { problems, accounts: inBrief, summary };
  const inNumbers = Object.entries(resolved).map(([how, { count, lost }]) => [
    how,
    { count, lost: lost.length },
  ]);
  return { problems, accounts: inBrief, summary, resolved: Object.fromEntries(inNumbers) };
}

/** Of what has resolved, with replicas and without, how much there is and what the streams do not hold. */
function resolvedBy({ published }, entries) {
  const stored = new Set(entries.map(({ eventId }) => eventId));
  const count = (records) => ({
    count: records.length,
    lost: records.filter(({ id }) => !stored.has(id)).map(({ id }) => id),
  });
  return {
    replicated: count(published.filter(({ replicas }) => replicas > 0)),
    alone: count(published.filter(({ replicas }) => replicas === 0)),
  };
}

/** What a program of another make was done with in time, none of ours has had meanwhile. */
function verifyForeign({ handled }, report) {
  const keyOf = ({ group, id }) => `${group} ${id}`;
  const ours = new Map(handled.filter(({ foreign }) => !foreign).map((one) => [keyOf(one), one]));
  const inTime = handled.filter(({ foreign, at }) => foreign && at - foreign.asked < foreignLease);
  report(
    'events were handled by us while a program of another make had them',
    inTime.filter((one) => {
      const other = ours.get(keyOf(one));
      return other && other.at > one.foreign.asked && other.at < one.at;
    }),
  );
}

/** What the publishers were told is so. Of a stream that is trimmed, only what is still there can be looked at. */
function verifyPublishes({ written, entries, streamOf, trimmed, report }) {
  const { published, refused, handled } = written;
  const stored = new Map(entries.map((entry) => [entry.eventId, entry]));
  report(
    'publishes resolved and are not stored',
    published.filter(
      ({ id, type, messageId }) =>
        (stored.has(id) || !trimmed.has(streamOf(type))) && stored.get(id)?.messageId !== messageId,
    ),
  );
  report(
    'publishes were refused and are stored',
    refused.filter(({ id, outcome }) => outcome !== 'unknown' && stored.has(id)),
  );
  report(
    'publishes failed without an outcome',
    refused.filter(({ outcome }) => !['rejected', 'not_sent', 'unknown'].includes(outcome)),
  );
  report(
    'events are stored more than once',
    entries.filter(({ eventId, messageId }) => stored.get(eventId).messageId !== messageId),
  );
  const messageIds = new Map(published.map(({ id, messageId }) => [id, messageId]));
  for (const { eventId, messageId } of entries) messageIds.set(eventId, messageId);
  report(
    'events were handled that are not those stored',
    handled.filter(
      ({ id, messageId, intact }) =>
        !intact || (messageIds.has(id) && messageIds.get(id) !== messageId),
    ),
  );
}

/** Each entry is handled, or a dead letter, or told as lost, and no dead letter could have succeeded. */
function verifyGroups({ written, accounts, deadLetters, streams, streamOf, report }) {
  const unbalanced = [];
  for (const { both, settled, ...account } of accounts) {
    const { stream, group, balance } = account;
    const lossy = streams.some((one) => one.name === stream && losesEntries(one));
    const missing = written.published
      .filter(({ id, type }) => streamOf(type) === stream && !settled.has(id))
      .map(({ id, type, messageId }) => ({ id, type, messageId }));
    const told = written.notice.filter(
      (record) =>
        record.notice === 'messagesLost' && record.group === group && record.stream === stream,
    );
    if (balance !== 0) unbalanced.push(account);
    const where = `by ${group} of ${stream}`;
    if (!lossy) {
      report(`events were neither handled nor dead-lettered ${where}`, missing);
      report(`times were losses told where nothing is lost, ${where}`, told);
    }
    report(`events were handled and are dead letters as well, ${where}`, both);
    const own = deadLetters.filter(
      (letter) => letter['dlq-group'] === group && streamOf(letter.eventType) === stream,
    );
    report(
      `dead letters could have succeeded, ${where}`,
      own.filter(({ eventType }) => !isBuiltToFail(eventType)).map(reasonOf),
    );
    const ids = own.map(({ eventId }) => eventId);
    report(
      `dead letters are there more than once, ${where}`,
      ids.filter((id, index) => ids.indexOf(id) !== index),
    );
  }
  report('accounts do not balance', unbalanced);
}

const reasonOf = (letter) => ({
  id: letter.eventId,
  type: letter.eventType,
  reason: letter['dlq-reason'],
  attempts: letter['dlq-attempts'],
  error: letter['dlq-error'],
});
