// Consumes a backlog as a group and acknowledges each event, for a fixed time.

import { measureConsuming } from '../support/consuming.mjs';

export async function run({ loadStreams, params }) {
  const { url, stream, group, concurrency } = params;
  const { createConsumer } = await loadStreams();
  return measureConsuming(createConsumer(url, { stream, groups: [group], concurrency }), params);
}
