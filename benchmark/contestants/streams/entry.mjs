// The bus code that a user of a plain Redis client writes around a stream: an event as flat fields,
// its data as JSON.

import { randomUUID } from 'node:crypto';

export function createEvent(source, type, data) {
  return {
    id: randomUUID(),
    type,
    data,
    metadata: { timestamp: new Date().toISOString(), source, correlationId: randomUUID() },
  };
}

/** @returns {Record<string, string>} */
export function encodeEntry({ id, type, data, metadata }) {
  return {
    eventId: id,
    eventType: type,
    timestamp: metadata.timestamp,
    source: metadata.source,
    correlationId: metadata.correlationId,
    data: JSON.stringify(data),
  };
}

/** @param {Record<string, string>} fields */
export function decodeEntry({ eventId, eventType, timestamp, source, correlationId, data }) {
  return {
    id: eventId,
    type: eventType,
    data: JSON.parse(data),
    metadata: { timestamp, source, correlationId },
  };
}

/** Fields as ioredis returns them: names and values in turn. */
export function fieldsOf(flat) {
  const fields = {};
  for (let at = 0; at < flat.length; at += 2) fields[flat[at]] = flat[at + 1];
  return fields;
}
