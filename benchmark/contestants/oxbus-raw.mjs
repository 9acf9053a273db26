import { EventBusClient, rawJson } from '../../index.js';
import { busOf } from './oxbus-build.mjs';

/** The bytes of each payload, as a service has them that got them from elsewhere. */
const bytes = new Map();

function bytesOf(data) {
  let known = bytes.get(data);
  if (known === undefined) {
    known = Buffer.from(JSON.stringify(data));
    bytes.set(data, known);
  }
  return known;
}

/** Oxbus with data that is JSON already, and that no handler needs as objects. */
export function createBus(url) {
  const bus = busOf(EventBusClient)(url);
  return {
    ...bus,
    publish: (type, data) => bus.publish(type, rawJson(bytesOf(data))),
    subscribe: (pattern, handler) => bus.subscribe(pattern, handler, { data: 'raw' }),
  };
}
