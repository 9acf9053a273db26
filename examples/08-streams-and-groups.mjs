// Stored events: a consumer group gets every one of them, also those published while no consumer was there.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

// Every service that publishes orders has the same streams. Those of this example are its own.
const stream = `oxbus-example:${process.pid}:orders`;
const streams = [{ name: stream, events: 'order.*', consumerGroups: ['billing', 'mail'] }];
const open = (serviceName) => new EventBusClient({ serviceName, streams, ...connection });
const shop = open('shop');
await shop.connect(); // makes the stream and its groups

// Nobody is subscribed yet. Stored events wait for the groups.
const { messageId } = await shop.publish('order.placed', { number: 1 });
console.log(`stored as ${messageId}`);
await shop.publish('order.placed', { number: 2 });

// Each group gets every event; the consumers of a group share them.
const handled = { billing: new Set(), mail: new Set() };
const consumers = [open('billing'), open('billing'), open('mail')];
for (const [index, consumer] of consumers.entries()) {
  const { serviceName } = consumer;
  await consumer.subscribe(
    'order.*',
    async ({ data }, { group, deliveryCount }) => {
      console.log(`${group} ${index + 1}: order ${data.number}, delivery ${deliveryCount}`);
      handled[group].add(data.number);
    },
    { group: serviceName, orderBy: 'key' }, // acknowledged when the handler has ended
  );
}
for (const number of [3, 4, 5]) {
  await shop.publish('order.placed', { number }, { key: `customer-${number % 2}` });
}
await until(() => handled.billing.size === 5 && handled.mail.size === 5);

// Events that a closing consumer has not finished go to the other consumers of its group.
for (const consumer of consumers) await consumer.disconnect();
const { length, groups } = await shop.streams.info(stream);
for (const { name, pending, lag } of groups) console.log(`${name}: pending ${pending}, lag ${lag}`);
console.log(`${length} events are stored`);
await shop.streams.trim(stream, { maxLength: 0 });
await shop.disconnect();
console.log('ok');

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
