// Publishes durable events for a fixed time with a fixed number of events in flight.

import { payloads } from '../support/payloads.mjs';
import { measurePublishing } from '../support/publishing.mjs';

export async function run({ loadStreams, params }) {
  const { url, payload, stream, realtime } = params;
  const bus = (await loadStreams()).createStore(url, { stream, realtime });
  await bus.connect();
  const result = await measurePublishing(bus, payloads(payload), params);
  await bus.close();
  return result;
}
