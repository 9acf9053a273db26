// Consumes several streams as a group, and looks whether each event comes, once, and in the order of its publisher.

import { loadCluster } from '../support/contestants.mjs';

const LIMIT_MS = 20_000;

export async function run({ contestant, params, parent }) {
  const { target, streams, group, concurrency } = params;
  const consumer = (await loadCluster(contestant)).createConsumer(target, {
    ...{ streams, group, concurrency },
  });
  const seen = new Map(streams.map(({ type }) => [type, { numbers: new Set(), last: 0 }]));
  let [repeated, late, count] = [0, 0, 0];
  let changed = () => {};
  await consumer.start(({ type, data: { n } }) => {
    const own = seen.get(type);
    if (own.numbers.has(n)) {
      repeated += 1;
      return;
    }
    own.numbers.add(n);
    count += 1;
    // An event that comes again is no event out of order.
    if (n < own.last) late += 1;
    own.last = Math.max(own.last, n);
    changed();
  });
  parent.send({ kind: 'listening' });
  const { total } = await parent.next('total');
  await new Promise((resolve) => {
    const limit = setTimeout(resolve, LIMIT_MS);
    changed = () => {
      if (count < total) return;
      clearTimeout(limit);
      resolve();
    };
    changed();
  });
  await consumer.close();
  return { count, repeated, late };
}
