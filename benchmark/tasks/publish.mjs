// Publishes for a fixed time with a fixed number of calls in flight.

import { payloads } from '../support/payloads.mjs';
import { measurePublishing } from '../support/publishing.mjs';

export async function run({ load, params }) {
  const bus = (await load()).createBus(params.url);
  await bus.connect();
  const result = await measurePublishing(bus, payloads(params.payload), params);
  await bus.close();
  return result;
}
