// The bus code that a user of a plain Redis client writes: an event around the data, JSON both ways.

import { randomUUID } from 'node:crypto';

/** @returns {string} the event as it goes over the wire */
export function encodeEvent(source, type, data) {
  return JSON.stringify({
    id: randomUUID(),
    type,
    data,
    metadata: {
      timestamp: new Date().toISOString(),
      source,
      correlationId: randomUUID(),
    },
  });
}

/** Calls the handlers of a pattern; a failure of one is its own. */
export function dispatch(handlers, text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    return;
  }
  for (const handler of handlers) {
    try {
      handler(event)?.catch?.(report);
    } catch (error) {
      report(error);
    }
  }
}

const report = (error) => console.error(error);
