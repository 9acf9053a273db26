// A worker process of `starts.mjs`. It writes each event down before its handler returns.

import { setTimeout as pause } from 'node:timers/promises';
import { EventBusClient } from '../../index.js';
import { openJournal } from '../chaos/journal.mjs';
import { createRandom } from '../chaos/random.mjs';
import { clientOptions, subscribeAll, types } from './starting.mjs';

const MAX_HANDLER_MS = 5;

const { url, seed, journal: path } = JSON.parse(process.argv[2]);
const random = createRandom(seed);
const journal = openJournal(path);
const bus = new EventBusClient(clientOptions({ mode: 'redis', redis: url }));

let stopped = false;
process.on('disconnect', () => process.exit(1));
process.channel.unref();
process.once('SIGTERM', async () => {
  stopped = true;
  await bus.disconnect();
});
bus.on('error', ({ code }) => journal.write({ kind: 'error', code }));
process.send({ kind: 'begun' });

try {
  await subscribeAll(bus, random.shuffled(types), async ({ id }) => {
    await pause(random.between(0, MAX_HANDLER_MS));
    journal.write({ kind: 'handled', id });
  });
  process.send({ kind: 'ready' });
} catch (error) {
  // What a client rejects that is being closed.
  if (!stopped) throw error;
}
