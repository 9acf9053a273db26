// A process of another make in the group of an Oxbus service: it reads by XREADGROUP, acknowledges by XACK, and knows
// nothing of what Oxbus keeps beside a stream. To it every event succeeds.
//
// An entry counts as handled when its XACK has said so. Where the answer was lost it may or may not be: that is what
// `attempted` says.

import { Redis } from 'ioredis';
import { openJournal } from './journal.mjs';
import { createRandom } from './random.mjs';
import { settings } from './scenario.mjs';

const COUNT = 5;
const MAX_PAUSE_MS = 300;
// Some events take it longer than the lease, and shorter than what Oxbus leaves to others.
const SLOW = 0.03;
const SLOW_MS = 3000;

const { setting, redis: url, name, group, seed, journal: path } = JSON.parse(process.argv[2]);
const random = createRandom(seed);
const journal = openJournal(path);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const redis = new Redis(url, {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 50,
});
redis.on('error', () => {});

let stopped = false;
process.on('SIGTERM', () => {
  stopped = true;
});
process.on('disconnect', () => process.exit(1));
process.channel.unref();
process.send({ kind: 'begun' });
process.send({ kind: 'ready' });

const names = settings[setting].streams.map((stream) => stream.name);

async function work() {
  const asked = Date.now();
  const places = [...names, ...names.map(() => '>')];
  const reply = await redis.xreadgroup('GROUP', group, name, 'COUNT', COUNT, 'STREAMS', ...places);
  for (const [stream, entries] of reply ?? []) {
    for (const [messageId, fields] of entries) {
      const of = (field) => fields[fields.indexOf(field) + 1];
      const entry = { group, id: of('eventId'), type: of('eventType'), messageId, intact: true };
      journal.write({ kind: 'attempted', ...entry });
      if (random.chance(SLOW)) await pause(SLOW_MS);
      const settled = await redis.xack(stream, group, messageId);
      if (settled === 1)
        journal.write({ kind: 'handled', ...entry, foreign: { asked }, at: Date.now() });
    }
  }
}

while (!stopped) {
  // What was read and not acknowledged is taken over by Oxbus after `foreignLease`: this program never looks at it again.
  await work().catch(() => {});
  await pause(random.between(0, MAX_PAUSE_MS));
}
redis.disconnect();
