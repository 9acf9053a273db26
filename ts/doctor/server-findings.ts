/** What is to be said of the servers themselves. */

import type { Finding } from './finding';
import { type Link, placeName } from './link';
import { infoOf, type Reply, ReplyError } from './reply';

/** Beyond it timestamps and latencies mislead, in ms. */
const MAX_SKEW = 5000;
const FULL = 0.9;

/** What a master said of itself. */
export interface ServerFacts {
  readonly name: string;
  readonly info: ReadonlyMap<string, string>;
  /** Undefined where the server does not let it be read. */
  readonly policy: string | undefined;
  /** How far its clock is ahead of this machine's, in ms. */
  readonly skew: number | undefined;
  readonly commands: number | undefined;
}

export async function factsOf(link: Link): Promise<ServerFacts> {
  const info = infoOf((await link.ask('INFO')) ?? null);
  const before = Date.now();
  const time = await link.ask('TIME');
  const middle = (before + Date.now()) / 2;
  return {
    name: placeName(link.place),
    info,
    policy: info.get('maxmemory_policy'),
    skew: skewOf(time, middle),
    commands: numberOf(info.get('total_commands_processed')),
  };
}

function skewOf(time: Reply | undefined, now: number): number | undefined {
  if (!Array.isArray(time)) return undefined;
  return Math.round(Number(time[0]) * 1000 + Number(time[1]) / 1000 - now);
}

const numberOf = (text: string | undefined): number | undefined => {
  const value = Number(text);
  return text === undefined || Number.isNaN(value) ? undefined : value;
};

/** The findings about one server; `isDurable`: whether it holds streams. */
export function serverFindings(facts: ServerFacts, isDurable: boolean): Finding[] {
  const { name, info, policy, skew } = facts;
  const found: Finding[] = [];
  const add = (
    severity: Finding['severity'],
    code: string,
    message: string,
    advice: string,
  ): void => {
    found.push({ code, severity, subject: name, message: `${name}: ${message}`, advice });
  };
  if (info.size === 0) {
    add(
      'warning',
      'SERVER_INFO_DENIED',
      'INFO is refused, so its version, its eviction policy and its persistence are unknown',
      'allow INFO to this user (+info), or look at them yourself',
    );
    return found;
  }
  const kind = info.has('valkey_version') ? 'Valkey' : 'Redis';
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '';
  const uptime = numberOf(info.get('uptime_in_seconds')) ?? 0;
  add('info', 'SERVER', `${kind} ${version}, up for ${uptime} s`, 'nothing to do');
  if (kind === 'Redis' && (numberOf(version.split('.')[0]) ?? 7) < 7) {
    add(
      'warning',
      'OLD_SERVER',
      `it is older than Redis 7.0 (${version})`,
      'use Redis 7.0 or newer, or Valkey: before it nobody knows the lag of a group',
    );
  }
  if (info.get('role') === 'slave') {
    add(
      'error',
      'NOT_MASTER',
      'it is a replica',
      'connect to its master: services cannot publish here',
    );
  }
  if (policy !== undefined && policy !== 'noeviction') {
    add(
      isDurable ? 'error' : 'warning',
      'EVICTION_POLICY',
      `maxmemory-policy is ${policy}, which deletes whole streams with their groups when memory is short`,
      'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
    );
  }
  if (isDurable && info.get('aof_enabled') === '0') {
    add(
      'warning',
      'NO_PERSISTENCE',
      'it keeps no append-only file, so a crash loses what was stored since the last snapshot',
      'CONFIG SET appendonly yes, and the same in redis.conf',
    );
  }
  const failing = ['aof_last_write_status', 'rdb_last_bgsave_status'].filter(
    (field) => info.get(field) === 'err',
  );
  if (failing.length > 0) {
    add(
      'error',
      'PERSISTENCE_FAILING',
      `its last write to disk has failed (${failing.join(', ')})`,
      'look at the log of the server: the disk may be full or slow',
    );
  }
  const [used, most] = [numberOf(info.get('used_memory')), numberOf(info.get('maxmemory'))];
  if (used !== undefined && most !== undefined && most > 0 && used > most * FULL) {
    add(
      'warning',
      'MEMORY_NEARLY_FULL',
      `${Math.round((used / most) * 100)} % of maxmemory are used`,
      'trim streams (npx oxbus trim), or raise maxmemory: when it is full, publishes are refused',
    );
  }
  if (skew !== undefined && Math.abs(skew) > MAX_SKEW) {
    add(
      'warning',
      'CLOCK_SKEW',
      `its clock is ${Math.abs(skew)} ms ${skew > 0 ? 'ahead of' : 'behind'} that of this machine`,
      'let both follow a time server: timestamps and latencies are wrong by that much',
    );
  }
  return found;
}

/** What the server does while a doctor looks: its commands per second, those of the doctor left out. */
export function idleFinding(
  facts: ServerFacts,
  after: ReadonlyMap<string, string>,
  own: number,
  seconds: number,
): Finding[] {
  const ended = numberOf(after.get('total_commands_processed'));
  if (facts.commands === undefined || ended === undefined || seconds <= 0) return [];
  const rate = Math.max(0, (ended - facts.commands - own) / seconds);
  const clients = numberOf(after.get('connected_clients')) ?? 0;
  return [
    {
      code: 'LOAD',
      severity: 'info',
      subject: facts.name,
      message: `${facts.name}: ${rate.toFixed(1)} commands a second of ${clients} connections while this looked`,
      advice:
        'an idle client with one group over two streams sends about 1.1 a second; a higher redis.heartbeat and lease lower that',
    },
  ];
}

/** What a service publishes on and stores in. */
interface Keys {
  readonly prefix: string;
  readonly stream: string;
  /** Where live events go over lanes. */
  readonly lane?: string | undefined;
}

/** The rights that a service needs, with what a doctor can try without changing anything. */
export async function rightFindings(
  link: Link,
  user: string | undefined,
  keys: Keys,
): Promise<Finding[]> {
  const who = await link.ask('ACL', 'WHOAMI');
  const name = user ?? (typeof who === 'string' ? who : undefined);
  if (name === undefined) return [];
  const missing: string[] = [];
  for (const { right, words } of needed(keys)) {
    const reply = await link.command('ACL', 'DRYRUN', name, ...words).catch((error) => error);
    if (reply instanceof ReplyError) {
      const isUnknown = /not found/i.test(reply.message);
      if (isUnknown) return [noUser(name)];
      return user === undefined ? [] : [notAllowed(name)];
    }
    if (typeof reply === 'string' && reply !== 'OK') missing.push(right);
  }
  const rights = [...new Set(missing)];
  if (rights.length === 0) return [];
  const isOwn = user === undefined;
  return [
    {
      code: 'MISSING_RIGHTS',
      // Of the user that looks it is no fault that it may only read.
      severity: isOwn ? 'info' : 'error',
      subject: name,
      message: `the user ${name} lacks rights that a service needs: ${rights.join(' ')}`,
      advice: `ACL SETUSER ${name} ${rights.join(' ')}`,
    },
  ];
}

const noUser = (name: string): Finding => ({
  code: 'NO_USER',
  severity: 'error',
  subject: name,
  message: `the server knows no user ${name}`,
  advice: `make it: see the access rule in docs/operations.md`,
});

const notAllowed = (name: string): Finding => ({
  code: 'RIGHTS_UNKNOWN',
  severity: 'warning',
  subject: name,
  message: `what the user ${name} may do is unknown: ACL DRYRUN is refused, or the server is older than Redis 7.0`,
  advice: 'run it as a user that may use ACL (+acl|dryrun)',
});

/** Each command of a service, with the right that it needs. `ACL DRYRUN` runs none of them. */
function needed({ prefix, stream, lane }: Keys): { right: string; words: string[] }[] {
  const command = (right: string, ...words: string[]) => ({ right, words });
  return [
    command('+publish', 'PUBLISH', `${prefix}a`, 'x'),
    command('+psubscribe', 'PSUBSCRIBE', `${prefix}*`),
    command('+subscribe', 'SUBSCRIBE', `${prefix}a`),
    ...(lane === undefined
      ? []
      : [command('+spublish', 'SPUBLISH', lane, 'x'), command('+ssubscribe', 'SSUBSCRIBE', lane)]),
    command('+xadd', 'XADD', stream, '*', 'a', 'b'),
    command('+xreadgroup', 'XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', stream, '>'),
    command('+xack', 'XACK', stream, 'g', '1-1'),
    command('+xgroup', 'XGROUP', 'CREATE', stream, 'g', '$'),
    command('+xtrim', 'XTRIM', stream, 'MAXLEN', '1'),
    command('+xdel', 'XDEL', `${stream}:dlq`, '1-1'),
    command('+evalsha', 'EVALSHA', '0'.repeat(40), '1', stream),
    command('+eval', 'EVAL', 'return 1', '1', stream),
    command('+hset', 'HSET', `${prefix}oxbus:streams`, 'a', 'b'),
    command('+role', 'ROLE'),
    command('+info', 'INFO'),
    command('+time', 'TIME'),
  ];
}
