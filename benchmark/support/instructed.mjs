// What is run under an instruction counter: so many events of one kind through Oxbus, then the end.
//
//   node instructed.mjs <live|durable> <events> <url>

import { EventBusClient } from '../../index.js';
import { payloads } from './payloads.mjs';

const IN_FLIGHT = 100;

const [kind, events, url] = process.argv.slice(2);
const durable = kind === 'durable';
const stream = { name: 'jobs', events: 'job.*', realtime: false, consumerGroups: ['g'] };
const bus = new EventBusClient({
  serviceName: 'benchmark',
  redis: { url, connectTimeout: 60_000, commandTimeout: 60_000, heartbeat: 60_000 },
  streams: durable ? [stream] : [],
  channelPrefix: `${process.pid}:`,
  lease: 600_000,
  logLevel: 'error',
});
await bus.connect();

const [data] = payloads('small');
let handled = 0;
let published = 0;
let finish;
const finished = new Promise((resolve) => {
  finish = resolve;
});
const publish = () => {
  while (published < Number(events) && published - handled < IN_FLIGHT) {
    published += 1;
    bus.publish('job.done', data).catch((error) => {
      throw error;
    });
  }
};
const handler = () => {
  handled += 1;
  if (handled === Number(events)) finish();
  if (handled % 10 === 0) publish();
};
await bus.subscribe('job.*', handler, durable ? { group: 'g', concurrency: IN_FLIGHT } : {});
publish();
await finished;
await bus.disconnect();
