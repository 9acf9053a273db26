/** What is to be said of streams, their groups, and what groups wait for. */

import type { Finding } from './finding';
import { isPlain, matches } from './glob';
import type { LiveEvent, Seen } from './sampling';
import type { Registries, StreamSeen, Wanted } from './streams-seen';

const MANY_PENDING = 100;

/** The groups of a stream that nobody serves, or that do not keep up. */
export function groupFindings(stream: StreamSeen): Finding[] {
  return stream.groups.flatMap((group): Finding[] => {
    const name = `${stream.name} ${group.name}`;
    const waits = group.pending > 0 || (group.lag ?? 0) > 0;
    const state = `${group.pending} pending, lag ${group.lag ?? 'unknown'}`;
    if (!group.isServed) {
      return [
        {
          code: 'GROUP_WITHOUT_CONSUMERS',
          severity: waits ? 'error' : 'warning',
          subject: name,
          message: `no living consumer reads the group ${group.name} of ${stream.name} (${state})`,
          advice: `start the service that subscribes with group: '${group.name}', or, if it is no longer wanted, remove it: bus.streams.removeGroup('${stream.name}', '${group.name}')`,
        },
      ];
    }
    if (group.pending <= MANY_PENDING) return [];
    return [
      {
        code: 'MANY_PENDING',
        severity: 'warning',
        subject: name,
        message: `the group ${group.name} of ${stream.name} has ${group.pending} entries that were handed out and not acknowledged`,
        advice: `npx oxbus pending ${stream.name} ${group.name} tells who has them; add consumers, or look at the handlers`,
      },
    ];
  });
}

/** What groups wait for and no client says that it stores. */
export function unstoredFindings(registries: Registries): Finding[] {
  const stored = [...registries.streams.values()].flat();
  const stores = (pattern: string) =>
    isPlain(pattern)
      ? stored.some((events) => matches(events, pattern))
      : // A pattern is stored in part if one of the two is found by the other.
        stored.some((events) => matches(events, pattern) || matches(pattern, events));
  // Two patterns with different heads have no type in common; of others only samples tell.
  const overlaps = (pattern: string) =>
    stored.some((events) => {
      const [head, other] = [headOf(pattern), headOf(events)];
      return !isPlain(events) && (head.startsWith(other) || other.startsWith(head));
    });
  const lost = registries.wanted.filter(
    ({ pattern }) => !stores(pattern) && (isPlain(pattern) || !overlaps(pattern)),
  );
  return lost.map(({ stream, group, pattern }) => ({
    code: 'TYPE_NOT_STORED',
    severity: 'error',
    subject: `${stream} ${group}`,
    message: `the group ${group} waits for ${pattern} in ${stream}, and no client stores it`,
    advice: `let a stream of the publishers store it: streams: [{ name: '${stream}', events: '${pattern}' }]`,
  }));
}

const headOf = (pattern: string) => pattern.slice(0, pattern.search(/[*?[\\]|$/));

/**
 * Events that were heard live, that a group waits for, and that its stream does not hold: their publisher does not store them.
 * `held` has the ids of the events that a stream got meanwhile; a stream that could not be read to its end is not in it.
 */
export function liveOnlyFindings(
  events: readonly LiveEvent[],
  wanted: readonly Wanted[],
  held: ReadonlyMap<string, ReadonlySet<string>>,
): Finding[] {
  const told = new Map<string, Finding>();
  for (const { id, type } of events) {
    for (const { stream, group, pattern, events: stored } of wanted) {
      const ids = held.get(stream);
      if (ids === undefined || ids.has(id) || !matches(pattern, type)) continue;
      if (!stored.some((one) => matches(one, type))) continue;
      told.set(`${stream}\0${group}\0${type}`, {
        code: 'TYPE_NOT_STORED',
        severity: 'error',
        subject: `${stream} ${group}`,
        message: `${type} was published and not stored, and the group ${group} of ${stream} waits for it`,
        advice: `give the publisher the stream: streams: [{ name: '${stream}', events: ${JSON.stringify(stored)} }]; durable: true refuses such a publish`,
      });
    }
  }
  return [...told.values()];
}

/** Which formats were seen where, and which `wire` reads them. */
export function formatFindings(seen: readonly Seen[]): Finding[] {
  const groups = new Map<string, Seen[]>();
  for (const one of seen) {
    const key = `${one.kind} ${one.format.name}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].flatMap((all) =>
    all.length > NAMED ? [formatFinding(all)] : all.map((one) => formatFinding([one])),
  );
}

/** So many places of one format are named each; more of them share a finding. */
const NAMED = 8;

const WORDS = {
  channel: { place: 'channel', places: 'channels', one: 'message', many: 'messages' },
  stream: { place: 'stream', places: 'streams', one: 'entry', many: 'entries' },
};

/** The finding about places of one kind with one format. */
function formatFinding(all: readonly Seen[]): Finding {
  const [{ kind, name, format }] = all as [Seen];
  const { place, places, one, many } = WORDS[kind];
  const count = all.reduce((sum, each) => sum + each.count, 0);
  const names = all.slice(0, NAMED).map((each) => each.name);
  const where =
    all.length === 1 ? `the ${place} ${name}` : `${all.length} ${places} (${names.join(', ')}, …)`;
  return {
    code: format.wire === null ? 'FORMAT_UNREAD' : 'FORMAT',
    severity: format.wire === null ? 'warning' : 'info',
    subject: all.length === 1 ? name : `${all.length} ${places}`,
    message: `${where}: ${count} ${count === 1 ? one : many} of ${format.name}`,
    advice:
      format.wire === null
        ? 'no wire reads it by its name: describe it as data (docs/wires.md, a format of your own), or leave it to its own clients'
        : `wire: '${format.wire}' reads and writes it`,
  };
}
