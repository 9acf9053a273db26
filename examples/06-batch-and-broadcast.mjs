// Many events in one call, and one event for everybody.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const shop = new EventBusClient({ serviceName: 'shop', ...connection });
const warehouse = new EventBusClient({ serviceName: 'warehouse', ...connection });

let ordered = 0;
await warehouse.subscribe('order.placed', () => {
  ordered += 1;
});

// Type patterns also see broadcasts.
const notices = [];
for (const bus of [shop, warehouse]) {
  await bus.subscribe('maintenance.*', (event, ctx) =>
    notices.push(`${event.type} on ${ctx.channel}`),
  );
}

// All items travel in one pipeline, and each settles by itself.
const results = await shop.publishBatch([
  ...Array.from({ length: 250 }, (_, number) => ({ type: 'order.placed', data: { number } })),
  { type: 'not a valid type', data: {} }, // this item fails alone
]);
const refused = results.filter(({ status }) => status === 'rejected');
console.log(`published ${results.length - refused.length}, refused: ${refused[0].reason.code}`);

await shop.broadcast('maintenance.announced', { from: '22:00' });

while (ordered < 250 || notices.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
console.log(`orders received: ${ordered}, notices: ${notices.length}`);

await shop.disconnect();
await warehouse.disconnect();
console.log('ok');
