/** What spans and metrics say of an event, by the messaging conventions. */

import type { Attributes } from '@opentelemetry/api';
import type { HandlerCall, PublishCall } from '../instrumentation';

/** As long as a name of a room may be. */
const MAX_NAME = 1024;
const SYSTEM = { 'messaging.system': 'oxbus' };

/** Where an event goes. The name of a room or a user is one of many, so that a template stands for it. */
interface Destination {
  /** Of which there are few: for the names of spans and the labels of metrics. */
  readonly name: string;
  readonly attributes: Attributes;
}

function destinationOf(kind: 'type' | 'room' | 'user' | 'broadcast', name: string): Destination {
  if (kind !== 'room' && kind !== 'user') {
    return { name, attributes: { 'messaging.destination.name': name } };
  }
  const template = `${kind}:{${kind}}`;
  const attributes = {
    'messaging.destination.name': `${kind}:${name}`,
    'messaging.destination.template': template,
  };
  return { name: template, attributes };
}

function publishedTo({ type, to }: PublishCall): Destination {
  if (to === undefined) return destinationOf('type', nameOf(type));
  if (to === 'broadcast') return destinationOf('broadcast', to);
  return 'room' in to
    ? destinationOf('room', nameOf(to.room))
    : destinationOf('user', nameOf(to.user));
}

/** Nothing of a publish has been checked yet. */
function nameOf(given: unknown): string {
  return typeof given === 'string' ? given.slice(0, MAX_NAME) : 'unknown';
}

/** The attributes of a span, and those of them that metrics have: few values each. */
export interface Described {
  readonly name: string;
  readonly span: Attributes;
  readonly metric: Attributes;
}

/** So many types are remembered; programs have fewer. */
const MAX_KNOWN = 1000;
const published = new Map<string, Described>();
const processed = new Map<string, KnownProcess>();

/** What a map holds, or holds from now on. It begins anew when it is full. */
function known<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key);
  if (found !== undefined) return found;
  if (map.size >= MAX_KNOWN) map.clear();
  const made = make();
  map.set(key, made);
  return made;
}

/** Nobody may change what it returns: it may be that of other calls as well. */
export function describePublish(call: PublishCall): Described {
  if (call.to !== undefined) return makePublish(call);
  const name = nameOf(call.type);
  return published.get(name) ?? known(published, name, () => makePublish(call));
}

function makePublish(call: PublishCall): Described {
  const { name, attributes } = publishedTo(call);
  const operation = {
    ...SYSTEM,
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
  };
  return {
    name: `publish ${name}`,
    span: { ...operation, ...attributes, 'oxbus.event.type': nameOf(call.type) },
    metric: { ...operation, 'messaging.destination.name': name },
  };
}

/** What the calls for one destination by one group have in common. */
interface KnownProcess {
  readonly destination: string;
  readonly group: string | undefined;
  readonly name: string;
  readonly metric: Attributes;
}

/** That of the last call: events of one type often come one after the other. */
let last: KnownProcess = makeProcess('', undefined);

function makeProcess(destination: string, group: string | undefined): KnownProcess {
  const metric: Attributes = {
    ...SYSTEM,
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': destination,
    ...(group !== undefined && { 'messaging.consumer.group.name': group }),
  };
  return { destination, group, name: `process ${destination}`, metric };
}

function knownProcess(destination: string, group: string | undefined): KnownProcess {
  if (destination !== last.destination || group !== last.group) {
    const make = () => makeProcess(destination, group);
    last = known(processed, `${destination} ${group ?? ''}`, make);
  }
  return last;
}

export function describeProcess({ event, context, group }: HandlerCall): Described {
  const isBatch = Array.isArray(event);
  const first = isBatch ? event[0] : event;
  const { room } = first.metadata;
  const isRoom = typeof room === 'string';
  const { destination, name, metric } = knownProcess(isRoom ? 'room:{room}' : first.type, group);
  const span: Attributes = {
    'messaging.system': 'oxbus',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': isRoom ? `room:${room}` : destination,
    'oxbus.event.type': first.type,
    'oxbus.attempt': context.attempt,
  };
  if (isRoom) span['messaging.destination.template'] = destination;
  if (group !== undefined) span['messaging.consumer.group.name'] = group;
  if (context.stream !== undefined) span['oxbus.stream'] = context.stream;
  if (isBatch) span['messaging.batch.message_count'] = event.length;
  else {
    span['messaging.message.id'] = first.id;
    span['messaging.message.conversation_id'] = first.metadata.correlationId as string;
  }
  return { name, span, metric };
}

/** `error.type`: the code of an error of the bus, else its class. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}
