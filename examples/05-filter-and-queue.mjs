// Less work for JavaScript: a filter runs before JavaScript wakes, and a queue keeps only the newest event of each key.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({ serviceName: 'dashboard', ...connection });

// A filter compares by JSON equality. An array means any of its values. A missing field does not match.
const failures = [];
await bus.subscribe('job.*', ({ data }) => failures.push(data.id), {
  filter: { 'data.status': ['failed', 'cancelled'], 'metadata.source': 'dashboard' },
});

// The slow handler runs one call at a time; meanwhile the queue keeps only the newest price of each key.
const prices = [];
let release;
const blocked = new Promise((resolve) => {
  release = resolve;
});
await bus.subscribe(
  'price.changed',
  async ({ data }) => {
    prices.push(`${data.symbol} ${data.price}`);
    await blocked;
  },
  { concurrency: 1, queue: { maxEvents: 100, overflow: 'latest-per-key' } },
);

for (const [id, status] of ['done', 'failed', 'running', 'cancelled'].entries()) {
  await bus.publish('job.ended', { id, status });
}
for (const price of [1, 2, 3, 4]) {
  await bus.publish('price.changed', { symbol: 'OXB', price }, { key: 'OXB' });
}

await until(() => failures.length === 2 && prices.length === 1);
release();
await until(() => prices.at(-1) === 'OXB 4');
console.log('failed jobs:', failures);
console.log('first and last price:', prices[0], prices.at(-1));

await bus.disconnect();
console.log('ok');

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
