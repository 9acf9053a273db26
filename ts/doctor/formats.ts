/** Which format a message or an entry has, and which `wire` reads it (docs/wires.md). */

import type { WireName } from '../../index';

/** A format by its looks. */
export interface Format {
  /** What it is, in words that the findings use. */
  readonly name: string;
  /** The `wire` that reads it; null: none does. */
  readonly wire: WireName | null;
}

type Members = Readonly<Record<string, unknown>>;

const of = (name: string, wire: WireName | null = null): Format => ({ name, wire });
const isText = (value: unknown): value is string => typeof value === 'string';
const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const at = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined);

/** What tells each format of an object, in the order in which they are tried: the more special ones come first. */
const OBJECTS: readonly (readonly [Format, (message: Members) => boolean])[] = [
  [of('CloudEvents', 'cloudevents'), (m) => isText(m.specversion) && isText(m.type)],
  [of('a request of NestJS'), (m) => 'pattern' in m && 'data' in m && 'id' in m],
  [of('an answer of NestJS'), (m) => 'isDisposed' in m && 'id' in m],
  [of('NestJS', 'nestjs'), (m) => 'pattern' in m && 'data' in m],
  [of('Moleculer'), (m) => isText(m.ver) && isText(m.sender)],
  [of('Celery or Kombu'), (m) => isText(m.body) && isObject(at(m.properties, 'delivery_info'))],
  [of('campaign', 'campaign'), (m) => isText(at(m.metadata, 'eventType')) && 'data' in m],
  [of('photo', 'photo'), (m) => isText(m.type) && 'data' in m && isText(at(m.metadata, 'traceId'))],
  [of('Oxbus', 'oxbus'), (m) => isText(m.type) && 'data' in m],
  [
    of('spine', 'spine'),
    (m) => isText(m.type) && 'payload' in m && typeof m.timestamp === 'number',
  ],
  [of('{ type, payload }'), (m) => isText(m.type) && 'payload' in m],
  [
    of('platform', 'platform'),
    (m) => isText(m.type) && ('metadata' in m || 'timestamp' in m || 'userId' in m),
  ],
];

/** The format of a live message. `octets` has a character for each byte. */
export function formatOfMessage(channel: string, octets: string): Format {
  if (channel.startsWith('socket.io#')) return of('Socket.IO', 'socket.io');
  if (channel.startsWith('socket.io')) return of('requests and answers of Socket.IO');
  if (octets.startsWith('\x89BIN\r\n\x1a\n')) return of('FastStream', 'faststream');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(octets, 'latin1').toString('utf8'));
  } catch {
    return of('a text that is not JSON', 'graphql');
  }
  if (isObject(value)) {
    const message = value;
    for (const [format, looksSo] of OBJECTS) if (looksSo(message)) return format;
  }
  return of('bare JSON', 'graphql');
}

/** The format of an entry, by the names of its fields. */
export function formatOfEntry(fields: ReadonlyMap<string, string>): Format {
  const has = (...names: string[]) => names.every((name) => fields.has(name));
  if (has('eventType', 'data')) return of('Oxbus', 'oxbus');
  if (has('event_type', 'payload')) return of('eventsource', 'eventsource');
  if (has('__data__')) return of('FastStream', 'faststream');
  if (has('nsp', 'type', 'data')) return of('the streams adapter of Socket.IO');
  if (has('event', 'jobId')) return of('BullMQ');
  const names = [...fields.keys()].slice(0, 4).join(', ');
  return of(`entries with the fields ${names}`.slice(0, 120));
}

/** The event id and type that a message of Oxbus's own format tells. */
export function eventOf(octets: string): { id: string; type: string } | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(octets, 'latin1').toString('utf8'));
    const [id, type] = [at(value, 'id'), at(value, 'type')];
    return isText(id) && isText(type) ? { id, type } : undefined;
  } catch {
    return undefined;
  }
}
