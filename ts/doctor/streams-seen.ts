/** The streams of a bus and their groups, as somebody sees them who may only read: by commands, without a script. */

import { pairsOf, type Reply } from './reply';

/** Keys that are looked at by a scan: so many steps of so many keys. */
const [STEPS, STEP] = [100, 1000];
const MAX_STREAMS = 500;
const MAX_REGISTERED = 10_000;
/** So many consumers of a group are asked after. */
const MAX_CONSUMERS = 64;
/** A consumer of another program that has shown itself within so many ms counts as alive. */
const LIVES = 60_000;

/** Entries that wait for their retry are in the name of this consumer. */
const DELAYED = 'oxbus:delayed';

export interface Asked {
  ask(...words: string[]): Promise<Reply | undefined>;
}

/** What clients have registered (docs/observing.md). */
export interface Registries {
  /** Patterns of the types that a stream stores, by its name. */
  readonly streams: ReadonlyMap<string, readonly string[]>;
  readonly wanted: readonly Wanted[];
  /** Whether both could be read. */
  readonly isReadable: boolean;
}

export interface Wanted {
  readonly stream: string;
  readonly group: string;
  readonly pattern: string;
  /** What the stream stores, as the client of the group has it. */
  readonly events: readonly string[];
}

export interface GroupSeen {
  readonly name: string;
  readonly pending: number;
  readonly lag: number | null;
  readonly lastDeliveredId: string;
  /** Whether a consumer lives, as far as it can be known: one of Oxbus shows it, one of another program has read of late. */
  readonly isServed: boolean;
}

export interface StreamSeen {
  readonly name: string;
  readonly length: number;
  readonly isRegistered: boolean;
  readonly groups: readonly GroupSeen[];
}

export async function readRegistries(servers: Asked, prefix: string): Promise<Registries> {
  const [streams, wanted] = [
    await hashOf(servers, `${prefix}oxbus:streams`),
    await hashOf(servers, `${prefix}oxbus:groups`),
  ];
  return {
    streams: new Map([...(streams ?? [])].map(([name, value]) => [name, patternsOf(value)])),
    wanted: [...(wanted ?? [])].flatMap(([name, value]) => wantedOf(name, patternsOf(value))),
    isReadable: streams !== undefined && wanted !== undefined,
  };
}

/** A hash that is not too large to be read at once; undefined where that is refused. */
async function hashOf(servers: Asked, key: string): Promise<Map<string, string> | undefined> {
  const length = await servers.ask('HLEN', key);
  if (typeof length !== 'number' || length > MAX_REGISTERED) return undefined;
  const reply = await servers.ask('HGETALL', key);
  if (reply === undefined) return undefined;
  return new Map([...pairsOf(reply)].map(([name, value]) => [name, String(value)]));
}

/** The patterns of a value of a registry: a time, a blank, and JSON. */
function patternsOf(value: string): string[] {
  const list = jsonOf(value.slice(value.indexOf(' ') + 1));
  return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : [];
}

function wantedOf(name: string, events: readonly string[]): Wanted[] {
  const parts = jsonOf(name);
  if (!Array.isArray(parts) || !parts.every((one) => typeof one === 'string')) return [];
  const [stream, group, pattern] = parts;
  return stream === undefined || group === undefined || pattern === undefined
    ? []
    : [{ stream, group, pattern, events }];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The names of the streams of a server, found by a bounded scan; `isComplete` tells whether it came to the end. */
export async function scanStreams(
  masters: readonly Asked[],
): Promise<{ names: string[]; isComplete: boolean }> {
  const names = new Set<string>();
  let isComplete = true;
  for (const master of masters) {
    let cursor = '0';
    for (let step = 0; ; step += 1) {
      if (step === STEPS || names.size >= MAX_STREAMS) {
        isComplete = false;
        break;
      }
      const reply = await master.ask('SCAN', cursor, 'COUNT', String(STEP), 'TYPE', 'stream');
      const [next, found] = Array.isArray(reply) ? reply : [];
      if (!Array.isArray(found)) {
        isComplete = false;
        break;
      }
      for (const name of found) names.add(String(name));
      cursor = String(next);
      if (cursor === '0') break;
    }
  }
  return { names: [...names].sort(), isComplete };
}

/** A stream with its groups; undefined where there is none, or where it may not be read. */
export async function lookAtStream(
  servers: Asked,
  name: string,
  isRegistered: boolean,
): Promise<StreamSeen | undefined> {
  const info = await servers.ask('XINFO', 'STREAM', name);
  if (info === undefined) return undefined;
  const length = numberOf(pairsOf(info).get('length')) ?? 0;
  const rows = await servers.ask('XINFO', 'GROUPS', name);
  const groups: GroupSeen[] = [];
  for (const row of Array.isArray(rows) ? rows : []) {
    const group = pairsOf(row);
    const groupName = String(group.get('name') ?? '');
    groups.push({
      name: groupName,
      pending: numberOf(group.get('pending')) ?? 0,
      lag: numberOf(group.get('lag')) ?? null,
      lastDeliveredId: String(group.get('last-delivered-id') ?? '0-0'),
      isServed: await isServed(servers, name, groupName),
    });
  }
  return { name, length, isRegistered, groups };
}

/**
 * Whether a group has a living consumer. The clients of Oxbus are in a hash, each with the key by which it lives and the time until
 * when it does in any case; they are there before they have read anything.
 */
async function isServed(servers: Asked, stream: string, group: string): Promise<boolean> {
  const homes = /\{[^}]+\}/.test(stream) ? [stream] : [stream, `{${stream}}`];
  const own = new Set<string>();
  for (const home of homes) {
    const entries = pairsOf(
      (await servers.ask('HGETALL', `${home}:group:${group}:consumers`)) ?? [],
    );
    for (const [consumer, value] of [...entries].slice(0, MAX_CONSUMERS)) {
      own.add(consumer);
      const [, key = '', until = ''] = /\n(?:(.*) )?(\d+)$/s.exec(String(value)) ?? [];
      if (Number(until) > Date.now()) return true;
      if (key !== '' && (await servers.ask('EXISTS', key)) === 1) return true;
    }
  }
  const rows = await servers.ask('XINFO', 'CONSUMERS', stream, group);
  return (Array.isArray(rows) ? rows : []).some((row) => {
    const fields = pairsOf(row);
    const [name, idle] = [String(fields.get('name')), numberOf(fields.get('idle'))];
    return !own.has(name) && name !== DELAYED && idle !== undefined && idle < LIVES;
  });
}

const numberOf = (reply: Reply | undefined) => (typeof reply === 'number' ? reply : undefined);
