// What is run under an instruction counter to compare builds: so many events one way, then the end.
//
//   node exact-work.mjs <contestant> publish <events> <url>
//   node exact-work.mjs <contestant> receive <events> <url> <port that takes credits>
//   node exact-work.mjs <contestant> consume <events> <url> <stream that holds them>

import { once } from 'node:events';
import { connect } from 'node:net';
import { requireBefore } from './before.mjs';
import { CHANNEL, PATTERN } from './channel.mjs';
import { SUBJECT } from './contestants.mjs';
import { CREDIT } from './events.mjs';
import { payloads } from './payloads.mjs';

const IN_FLIGHT = 500;
const CONCURRENCY = 100;

const [contestant, kind, count, url, other] = process.argv.slice(2);
const events = Number(count);
const { EventBusClient } =
  contestant === SUBJECT ? await import('../../index.js') : requireBefore();
const bus = new EventBusClient({
  serviceName: 'benchmark',
  mode: 'redis',
  // Everything is some fifty times slower here: nothing may be asked for because it is late.
  redis: { url, connectTimeout: 60_000, commandTimeout: 60_000, heartbeat: 60_000 },
  streams: kind === 'consume' ? [{ name: other, events: PATTERN, realtime: false }] : [],
  lease: 600_000,
  logLevel: 'error',
});
await bus.connect();

let handled = 0;
let finish;
const finished = new Promise((resolve) => {
  finish = resolve;
});
const handle = (event) => {
  if (event.data === undefined) throw new Error('an event without data');
  handled += 1;
  if (handled === events) finish();
};

const ways = {
  async publish() {
    const [data] = payloads('small');
    let left = events;
    const caller = async () => {
      while (left > 0) {
        left -= 1;
        await bus.publish(CHANNEL, data);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  },
  async receive() {
    const credits = connect(Number(other), '127.0.0.1');
    await once(credits, 'connect');
    const credit = Buffer.from([1]);
    await bus.subscribe(PATTERN, (event) => {
      handle(event);
      if (handled % CREDIT === 0) credits.write(credit);
    });
    // The first one says that the subscription is there.
    credits.write(credit);
    await finished;
    credits.destroy();
  },
  async consume() {
    const options = { group: 'bench', concurrency: CONCURRENCY, from: 'beginning' };
    await bus.subscribe(PATTERN, async (event) => handle(event), options);
    await finished;
  },
};
await ways[kind]();
await bus.disconnect();
