// A publisher process: publishes until it is told to stop and writes down what became of each event.

import { EventBusClient } from '../../index.js';
import { openJournal } from './journal.mjs';
import { createRandom } from './random.mjs';
import { clientOptions, randomType } from './scenario.mjs';

const MAX_IN_FLIGHT = 300;
const MAX_PADDING = 2000;
const MAX_PAUSE_MS = 20;

const { url, name, seed, journal: path } = JSON.parse(process.argv[2]);
const random = createRandom(seed);
const journal = openJournal(path);
const bus = new EventBusClient(clientOptions(name, url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let stopped = false;
process.on('SIGTERM', () => {
  stopped = true;
});
process.on('disconnect', () => process.exit(1));
process.channel.unref();

const inFlight = new Set();
function publish(n) {
  const id = `${name}-${n}`;
  const type = randomType(random);
  const data = { id, padding: 'x'.repeat(random.between(0, MAX_PADDING)) };
  const call = bus
    .publish(type, data, { id })
    .then(
      ({ messageId }) => journal.write({ kind: 'published', id, type, messageId }),
      ({ outcome, code, message }) =>
        journal.write({ kind: 'refused', id, outcome, code, message }),
    )
    .finally(() => inFlight.delete(call));
  inFlight.add(call);
}

await bus.connect();
process.send({ kind: 'ready' });
for (let n = 0; !stopped; n += 1) {
  publish(n);
  await pause(random.between(0, MAX_PAUSE_MS));
  while (inFlight.size >= MAX_IN_FLIGHT) await Promise.race(inFlight);
}
await Promise.all(inFlight);
await bus.disconnect();
