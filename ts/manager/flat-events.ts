/** Translates the flat events of the manager into events of the bus, and back. */

import type { BusEvent, FlatEvent, PublishOptions, ReceivedFlatEvent } from '../../index';
import { copyPlain } from '../input/json';
import { refuseUnknown } from '../input/options';

const CODE = 'ERR_BUS_INVALID_EVENT';

/** Fields of a flat event that are options of a publish by the same name. */
const NAMED = [
  'id',
  'userId',
  'organizationId',
  'timestamp',
  'correlationId',
  'causationId',
  'source',
] as const satisfies readonly (keyof FlatEvent & keyof PublishOptions)[];

/** The arguments of `publish` for a flat event. Throws `INVALID_EVENT` for any other value. */
export function fromFlat(event: unknown): {
  type: string;
  data: unknown;
  options: PublishOptions;
} {
  const { type, metadata, ...options } = copyPlain(event, CODE, 'event');
  refuseUnknown(options, 'event', NAMED);
  return { type: type as string, data: metadata === undefined ? {} : metadata, options };
}

/** An event of the bus as a flat one. */
export function toFlat(event: BusEvent): ReceivedFlatEvent {
  const { id, type, metadata: known } = event;
  const flat: ReceivedFlatEvent = {
    id,
    type,
    timestamp: new Date(known.timestamp),
    correlationId: known.correlationId,
    source: known.source,
    metadata: event.data as ReceivedFlatEvent['metadata'],
  };
  for (const name of ['userId', 'organizationId', 'causationId'] as const) {
    if (known[name] !== undefined) flat[name] = known[name];
  }
  return flat;
}
