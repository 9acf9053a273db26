/**
 * The event that a publish has made, for `TestBus.published()`. The engine makes the event itself and tells only what
 * the result needs, so this is its second description; `__test__/published.test.ts` compares the two.
 */

import type { PublishResult } from '../../index';
import type { RawEvent, Recipients } from '../native/native';

/** Told of a published event and its result, with its place in the order of publishing. */
export type RecordPublished = (
  event: RawEvent,
  result: PublishResult,
  batch: number,
  index: number,
) => void;

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
  Object.assign(metadata, recipientMembers(given.audience), given.metadata);
  return { id: result.eventId, type: result.type, data: JSON.parse(data), metadata };
}

/** The members of the metadata that tell whom an event is for. */
function recipientMembers(audience: Recipients | undefined): Record<string, unknown> {
  if (audience === undefined || audience === 'broadcast') return {};
  if ('user' in audience) return { toUser: audience.user };
  const { room, except } = audience;
  return Array.isArray(except) && except.length > 0 ? { room, except } : { room };
}
