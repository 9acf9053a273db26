/** What spans and metrics say of an event, by the messaging conventions. */

import type { Attributes } from '@opentelemetry/api';
import type { HandlerCall, PublishCall } from '../instrumentation';
import type { RawEvent } from '../native/native';

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

function receivedFrom(event: RawEvent): Destination {
  const { room } = event.metadata;
  return typeof room === 'string' ? destinationOf('room', room) : destinationOf('type', event.type);
}

/** The attributes of a span, and those of them that metrics have: few values each. */
export interface Described {
  readonly name: string;
  readonly span: Attributes;
  readonly metric: Attributes;
}

export function describePublish(call: PublishCall): Described {
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

export function describeProcess({ event, context, group }: HandlerCall): Described {
  const first = (Array.isArray(event) ? event[0] : event) as RawEvent;
  const { name, attributes } = receivedFrom(first);
  const operation: Attributes = {
    ...SYSTEM,
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
  };
  if (group !== undefined) operation['messaging.consumer.group.name'] = group;
  const span: Attributes = {
    ...operation,
    ...attributes,
    'oxbus.event.type': first.type,
    'oxbus.attempt': context.attempt,
  };
  if (context.stream !== undefined) span['oxbus.stream'] = context.stream;
  if (Array.isArray(event)) span['messaging.batch.message_count'] = event.length;
  else {
    span['messaging.message.id'] = first.id;
    span['messaging.message.conversation_id'] = first.metadata.correlationId as string;
  }
  const metric = { ...operation, 'messaging.destination.name': name };
  return { name: `process ${name}`, span, metric };
}

/** `error.type`: the code of an error of the bus, else its class. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}
