/**
 * The event that a publish has made, for `TestBus.published()`. The engine makes the event itself and tells only what
 * the result needs, so this is its second description; `__test__/published.test.ts` compares the two.
 */

import type { PublishResult } from '../../index';
import type { RawEvent } from '../native/native';

/** Told of a published event, with its place in the order of publishing. */
export type RecordPublished = (event: RawEvent, batch: number, index: number) => void;

/** Members of the metadata that are options of a publish by the same name. */
const NAMED = ['causationId', 'traceparent', 'tracestate', 'userId', 'organizationId', 'key'];

/** The event that the engine has made of the JSON texts of its options and data. */
export function publishedEvent(
  result: PublishResult,
  options: string,
  data: string,
  origin: { source: string; instanceId: string },
): RawEvent {
  const given = options === '' ? {} : JSON.parse(options);
  const metadata: RawEvent['metadata'] = {
    timestamp: result.timestamp,
    source: given.source ?? origin.source,
    instanceId: origin.instanceId,
    correlationId: given.correlationId ?? result.eventId,
  };
  for (const name of NAMED) if (given[name] !== undefined) metadata[name] = given[name];
  Object.assign(metadata, given.metadata);
  return { id: result.eventId, type: result.type, data: JSON.parse(data), metadata };
}
