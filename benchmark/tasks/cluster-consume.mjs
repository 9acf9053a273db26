// Consumes a backlog of several streams as a group and acknowledges each event, for a fixed time.

import { measureConsuming } from '../support/consuming.mjs';
import { loadCluster } from '../support/contestants.mjs';

export async function run({ contestant, params }) {
  const { target, streams, group, concurrency } = params;
  const { createConsumer } = await loadCluster(contestant);
  return measureConsuming(createConsumer(target, { streams, group, concurrency }), params);
}
