// Past events are found by their id, listed, and run through a handler once more.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const stream = `oxbus-example:${process.pid}:accounts`;
const bus = new EventBusClient({
  serviceName: 'ledger',
  streams: [{ name: stream, events: 'account.*' }],
  persistence: { ttl: 60_000 }, // keeps every published event, whether or not a stream stores it
  ...connection,
});
await bus.connect();

const amounts = [100, -30, 5];
const published = [];
for (const amount of amounts) published.push(await bus.publish('account.changed', { amount }));
await bus.publish('user.signedIn', { user: 'u-1' }); // no stream stores it

const { data } = await bus.getEvent(published[0].eventId);
console.log('the first change:', data);
const history = await bus.getHistory({ order: 'desc', limit: 2 });
console.log('newest first:', history.map(({ type }) => type).join(', '));

// A projection is built anew from what the stream holds.
let balance = 0;
const result = await bus.replay({
  stream,
  handler: (event) => {
    balance += event.data.amount;
  },
});
console.log(
  `replayed ${result.replayed}: the balance is ${balance}, truncated: ${result.truncated}`,
);

// A replay can also begin at a time or at a message.
const later = [];
await bus.replay({
  pattern: 'account.*',
  from: published[1].messageId,
  handler: ({ data }) => later.push(data.amount),
});
console.log('from the second on:', later);

await bus.streams.trim(stream, { maxLength: 0 });
await bus.disconnect();
console.log('ok');
