// A publisher process: publishes until it is told to stop and writes down what became of each event.

import { load } from './build.mjs';
import { openJournal } from './journal.mjs';
import { createRandom } from './random.mjs';
import { clientOptions, randomDelays, randomKind } from './scenario.mjs';

const MAX_IN_FLIGHT = 500;
const MAX_PADDING = 2000;

const { setting, redis, name, seed, journal: path, ...params } = JSON.parse(process.argv[2]);
const { build, topics, most, pause: longest, kinds, replicated = 0, replicas: all } = params;
const { EventBusClient } = await load(build);
const random = createRandom(seed);
const journal = openJournal(path);
const bus = new EventBusClient(clientOptions(setting, name, redis, build));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let stopped = false;
process.on('SIGTERM', () => {
  stopped = true;
});
process.on('disconnect', () => process.exit(1));
process.channel.unref();
process.send({ kind: 'begun' });

const inFlight = new Set();
function publish(n) {
  const id = `${name}-${n}`;
  const kind = kinds ? random.pick(kinds) : randomKind(random);
  const type = `chaos.${random.pick(topics)}.${kind}`;
  const padding = 'x'.repeat(random.between(0, MAX_PADDING));
  const data = { id, padding, delays: kind === 'delayed' ? randomDelays(random) : [] };
  const replicas = random.chance(replicated) ? all : 0;
  const call = bus
    .publish(type, data, { id, ...(replicas > 0 ? { replicas } : {}) })
    .then(
      ({ messageId }) => journal.write({ kind: 'published', id, type, messageId, replicas }),
      ({ outcome, code, message }) =>
        journal.write({ kind: 'refused', id, type, outcome, code, message }),
    )
    .finally(() => inFlight.delete(call));
  inFlight.add(call);
}

await bus.connect();
process.send({ kind: 'ready' });
for (let n = 0; !stopped; ) {
  for (const end = n + Math.ceil(random.between(0, most)); n < end; n += 1) publish(n);
  await pause(random.between(0, longest));
  while (inFlight.size >= MAX_IN_FLIGHT) await Promise.race(inFlight);
}
await Promise.all(inFlight);
await bus.disconnect();
