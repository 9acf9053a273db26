// A stored event whose handler keeps failing becomes a dead letter, and comes back after the fix.

import { EventBusClient, NonRetryableError } from '../index.js';
import { connection } from './connection.mjs';

const stream = `oxbus-example:${process.pid}:mails`;
const bus = new EventBusClient({
  serviceName: 'mailer',
  streams: [{ name: stream, events: 'mail.*' }],
  ...connection,
});

let fixed = false;
const sent = [];
const subscription = await bus.subscribe(
  'mail.requested',
  ({ data }, { attempt }) => {
    if (!data.to.includes('@')) throw new NonRetryableError(`no address: ${data.to}`);
    if (!fixed) throw new Error(`attempt ${attempt}: the mail server is busy`);
    sent.push(data.to);
  },
  {
    group: 'mailers',
    maxRetries: 2, // after these it is a dead letter; meanwhile other events are not held up
    retry: { initialDelay: 20, maxDelay: 200 },
  },
);

const given = [];
bus.on('deadLetter', (letter) => given.push(letter));
await bus.publish('mail.requested', { to: 'someone@example.org' });
await bus.publish('mail.requested', { to: 'nobody' });
await until(() => given.length === 2);
for (const { event, attempts, reason, error } of given) {
  console.log(`given up: ${event.data.to}, ${reason} after ${attempts} attempts, ${error.message}`);
}

// Dead letters stay until someone replays or removes them.
for (const { id, event, reason } of await bus.deadLetters.list({ stream })) {
  if (reason === 'not-retryable') await bus.deadLetters.remove(id);
  else console.log(`to be tried again: ${event.data.to}`);
}
fixed = true;
console.log(`replayed: ${await bus.deadLetters.replayAll({ stream, group: subscription.group })}`);
await until(() => sent.length === 1);
console.log(`sent to ${sent}, dead letters left: ${await bus.deadLetters.count(stream)}`);

await bus.streams.trim(stream, { maxLength: 0 });
await bus.disconnect();
console.log('ok');

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
