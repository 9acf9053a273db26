// A consumer process: handles the events of a group until it is killed or told to stop, and writes
// down each one before its handler returns. It subscribes to one kind of events after the other.

import { load } from './build.mjs';
import { openJournal } from './journal.mjs';
import { createRandom } from './random.mjs';
import { clientOptions, kindOf, subscriptionOfAll, subscriptionsOf } from './scenario.mjs';

const MAX_HANDLER_MS = 50;
const MAX_BETWEEN_SUBSCRIPTIONS_MS = 300;
const notices = ['messagesLost', 'claimLost', 'groupRecreated', 'deadLetter'];

const { setting, redis, name, group, seed, journal: path, ...params } = JSON.parse(process.argv[2]);
const { build, known } = params;
const { EventBusClient, NonRetryableError, RetryLater } = await load(build);
const random = createRandom(seed);
const journal = openJournal(path);
const bus = new EventBusClient(clientOptions(setting, name, redis, build));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let stopped = false;
process.on('disconnect', () => process.exit(1));
process.channel.unref();
process.once('SIGTERM', async () => {
  stopped = true;
  await bus.disconnect();
  journal.write({ kind: 'stats', group, stats: bus.getStats() });
});

for (const notice of notices) {
  bus.on(notice, ({ stream, count = 1, messageId, from, to }) =>
    journal.write({ kind: 'notice', group, stream, notice, count, messageId, from, to }),
  );
}
bus.on('error', ({ code }) => journal.write({ kind: 'error', group, code }));
bus.on('warning', ({ code }) => journal.write({ kind: 'warning', group, code }));
process.send({ kind: 'begun' });

async function handle(event, { attempt, messageId }) {
  const started = Date.now();
  const { id, type, data } = event;
  const call = { group, id, type, messageId, attempt, started };
  await pause(random.between(0, MAX_HANDLER_MS));
  switch (kindOf(type)) {
    case 'broken':
      throw new NonRetryableError('built to fail');
    case 'stubborn':
      throw new Error('built to fail, often');
    case 'flaky':
      if (attempt === 1) throw new Error('fails once');
  }
  const delay = data.delays[attempt - 1];
  if (delay !== undefined) {
    journal.write({ kind: 'delayed', ...call, delay, at: Date.now() });
    throw new RetryLater(delay);
  }
  journal.write({ kind: 'handled', ...call, at: Date.now(), intact: data.id === id });
}

/** Tries until the server is there; an error that waiting does not cure ends the process. */
async function subscribe({ patterns, options }) {
  while (!stopped) {
    try {
      return await bus.subscribe(patterns, handle, { group, ...options });
    } catch (error) {
      if (stopped) return;
      if (!error.retryable) throw error;
      await pause(50);
    }
  }
}

const wanted = build === 'before' ? subscriptionOfAll(group) : subscriptionsOf(group, known);
for (const subscription of random.shuffled(wanted)) {
  await subscribe(subscription);
  if (random.chance(0.5)) await pause(random.between(0, MAX_BETWEEN_SUBSCRIPTIONS_MS));
}
process.send({ kind: 'ready' });
