/** Domain events: their classes, the registry of these, and how they become events of the bus. */

import { randomUUID } from 'node:crypto';
import type {
  AnyEventClass,
  DomainEventFields,
  EventClass,
  EventRegistry as RegistryContract,
} from '../../compat/eventsource';
import type { BusEvent, PublishOptions } from '../../index';
import { invalidAt, NonRetryableError } from '../errors';
import { copyPlain } from '../input/json';
import { readName } from '../input/options';
import { withDefaults } from './arguments';

const EVENT = 'ERR_BUS_INVALID_EVENT';
const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

export class DomainEvent {
  static readonly aggregateType: string = '';
  static get eventType(): string {
    // biome-ignore lint/complexity/noThisInStatic: the class that inherits it
    return this.name;
  }

  declare readonly eventType: string;
  declare readonly aggregateType: string;
  declare readonly aggregateId: string;
  declare readonly aggregateVersion: number;
  declare readonly eventId: string;
  declare readonly eventVersion: number;
  declare readonly occurredAt: Date;
  declare readonly tenantId: string | null;
  declare readonly actorId: string | null;
  declare readonly correlationId: string | null;
  declare readonly causationId: string | null;
  declare readonly metadata: Record<string, unknown>;

  constructor(fields: DomainEventFields) {
    const given = copyPlain(fields, EVENT, 'fields of the event') as DomainEventFields & object;
    if (typeof given.aggregateId !== 'string' || given.aggregateId === '') {
      throw invalidAt(EVENT, 'aggregateId', 'must be a text');
    }
    if (given.occurredAt !== undefined && !(given.occurredAt instanceof Date)) {
      throw invalidAt(EVENT, 'occurredAt', 'must be a Date');
    }
    const { eventType, aggregateType } = new.target;
    const defaults = {
      aggregateVersion: 1,
      eventId: randomUUID(),
      eventVersion: 1,
      occurredAt: new Date(),
      tenantId: null,
      actorId: null,
      correlationId: null,
      causationId: null,
      metadata: {},
    };
    Object.assign(this, withDefaults(defaults, given), { eventType, aggregateType });
  }
}

export function defineEvent<Fields extends object = object>(
  eventType: string,
  aggregateType: string,
): EventClass<Fields> {
  readName(eventType, 'eventType');
  readName(aggregateType, 'aggregateType');
  class Defined extends DomainEvent {
    static override readonly aggregateType: string = aggregateType;
    static override get eventType(): string {
      return eventType;
    }
  }
  return Defined as unknown as EventClass<Fields>;
}

export class EventRegistry implements RegistryContract {
  readonly #types = new Map<string, AnyEventClass>();

  register(type: AnyEventClass): void {
    checkEventClass(type, 'type');
    const known = this.#types.get(type.eventType);
    if (known !== undefined && known !== type) {
      throw invalidAt(OPTIONS, 'type', `another class has the events ${type.eventType}`);
    }
    this.#types.set(type.eventType, type);
  }

  get(eventType: string): AnyEventClass | undefined {
    return this.#types.get(eventType);
  }

  has(eventType: string): boolean {
    return this.#types.has(eventType);
  }
}

export const defaultRegistry: RegistryContract = new EventRegistry();

export function registerEvent<C extends AnyEventClass>(type: C, registry?: unknown): C {
  // A decorator is called with its context.
  (registry instanceof EventRegistry ? registry : defaultRegistry).register(type);
  return type;
}

export function checkEventClass(type: unknown, path: string): void {
  const { prototype } = (type ?? {}) as { prototype?: unknown };
  if (!(prototype instanceof DomainEvent)) {
    throw invalidAt(OPTIONS, path, 'must be a class of events');
  }
}

/** One event of a batch. Throws `INVALID_EVENT` for what is no domain event. */
export function toItem(
  event: DomainEvent,
  index: number,
): PublishOptions & { type: string; data: Record<string, unknown> } {
  if (!(event instanceof DomainEvent)) {
    throw invalidAt(EVENT, `events[${index}]`, 'must be a DomainEvent');
  }
  const { eventType, eventId, occurredAt, correlationId, causationId, ...others } = event;
  const { aggregateId, aggregateType, aggregateVersion, eventVersion, ...more } = others;
  const { tenantId, actorId, metadata, ...data } = more;
  return {
    type: eventType,
    data,
    id: eventId,
    timestamp: occurredAt,
    correlationId: correlationId ?? undefined,
    causationId: causationId ?? undefined,
    organizationId: tenantId ?? undefined,
    userId: actorId ?? undefined,
    key: aggregateId,
    metadata: { ...metadata, aggregateId, aggregateType, aggregateVersion, eventVersion },
  };
}

/** What an event of the bus says of itself, and not of the application. */
const OF_THE_BUS = [
  'timestamp',
  'source',
  'instanceId',
  'traceparent',
  'tracestate',
  'room',
  'key',
];

/** Throws a `NonRetryableError` for an event that no class has: it goes to the dead letters. */
export function toDomainEvent(event: BusEvent, registry: RegistryContract): DomainEvent {
  const type = registry.get(event.type);
  if (type === undefined) throw new NonRetryableError(`no class is registered for ${event.type}`);
  const { correlationId, causationId, organizationId, userId, ...others } = event.metadata;
  const { aggregateId, aggregateType, aggregateVersion, eventVersion, ...more } = others;
  const metadata: Record<string, unknown> = { ...more };
  for (const name of OF_THE_BUS) delete metadata[name];
  return new type({
    ...(event.data as object),
    eventId: event.id,
    occurredAt: new Date(event.metadata.timestamp),
    aggregateId: (aggregateId ?? event.metadata.key) as string,
    aggregateVersion: aggregateVersion as number | undefined,
    eventVersion: eventVersion as number | undefined,
    tenantId: organizationId,
    actorId: userId,
    correlationId,
    causationId,
    metadata,
  });
}
