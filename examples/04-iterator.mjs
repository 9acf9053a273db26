// Events as an async iterator: the loop decides when it takes the next one.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({ serviceName: 'thermostat', ...connection });
await bus.connect();

const readings = bus.events('sensor.*');
await readings.ready(); // confirmed: every event published from here on arrives
console.log('subscriptions:', bus.subscriberCount('sensor.*'));

for (const celsius of [19.5, 20.1, 20.8]) await bus.publish('sensor.kitchen', { celsius });

for await (const { data } of readings) {
  console.log(data);
  if (data.celsius > 20.5) break; // ends the subscription
}

await bus.disconnect();
console.log('ok');
