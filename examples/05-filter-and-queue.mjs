// Less work for JavaScript: a filter runs before a handler is woken, a queue keeps only the newest.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({ serviceName: 'dashboard', ...connection });

// JSON equality; an array means any of its values; a missing field does not match.
const failures = [];
await bus.subscribe('job.*', ({ data }) => failures.push(data.id), {
  filter: { 'data.status': ['failed', 'cancelled'], 'metadata.source': 'dashboard' },
});

// One slow handler call at a time; while it runs, only the newest price of each key is kept.
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
