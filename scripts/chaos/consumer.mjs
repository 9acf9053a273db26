// A consumer process: handles the events of a group until it is killed or told to stop, and writes
// down each one before its handler returns.

import { EventBusClient, NonRetryableError } from '../../index.js';
import { openJournal } from './journal.mjs';
import { createRandom } from './random.mjs';
import { clientOptions, kindOf, subscriptions } from './scenario.mjs';

const MAX_HANDLER_MS = 50;
const notices = ['messagesLost', 'claimLost', 'groupRecreated', 'deadLetter'];

const { url, name, group, seed, journal: path } = JSON.parse(process.argv[2]);
const random = createRandom(seed);
const journal = openJournal(path);
const bus = new EventBusClient(clientOptions(name, url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

process.on('disconnect', () => process.exit(1));
process.channel.unref();
process.once('SIGTERM', async () => {
  await bus.disconnect();
  journal.write({ kind: 'stats', group, stats: bus.getStats() });
});

for (const notice of notices) {
  bus.on(notice, ({ count = 1 }) => journal.write({ kind: 'notice', group, notice, count }));
}
bus.on('error', ({ code }) => journal.write({ kind: 'error', group, code }));

async function handle(event, { attempt, messageId }) {
  await pause(random.between(0, MAX_HANDLER_MS));
  const { id, type, data } = event;
  switch (kindOf(type)) {
    case 'broken':
      throw new NonRetryableError('built to fail');
    case 'stubborn':
      throw new Error('built to fail, often');
    case 'flaky':
      if (attempt === 1) throw new Error('fails once');
  }
  journal.write({ kind: 'handled', group, id, messageId, intact: data.id === id });
}

/** Tries until the server is there; an error that waiting does not cure ends the process. */
async function subscribe({ patterns, options }) {
  for (;;) {
    try {
      return await bus.subscribe(patterns, handle, { group, ...options });
    } catch (error) {
      if (!error.retryable) throw error;
      await pause(50);
    }
  }
}

for (const subscription of subscriptions) await subscribe(subscription);
process.send({ kind: 'ready' });
