// One process of a service that moves: on campaign's bus (a double on ioredis), or on Oxbus. It publishes,
// has a live handler and a handler in the group of its service, and keeps the ids that they get.
//
// What it is told to do comes as messages, and it answers each with one of the same kind.

import { Redis } from 'ioredis';
import campaign from '../../__test__/interop/old/campaign.js';
import { EventBusClient } from '../../index.js';
import { CUT, LIVE, STORED, STREAM } from './scenario.mjs';

const TICK_MS = 10;

const { name, service, config, redis: url, waits } = JSON.parse(process.argv[2]);

/** Ids that the handlers have got. A live event counts from one marker on, up to another. */
const heard = { live: [], group: [] };
let counts = !waits;

function live(id, type, data) {
  if (type !== CUT) {
    if (counts) heard.live.push(id);
    return;
  }
  if (!data.between.includes(name)) return;
  counts = !counts;
  process.send({ kind: 'cut' });
}

/** campaign's bus, with a connection for each task. */
function onTheOldBus() {
  const [main, reads, hears] = [1, 2, 3].map(() => new Redis(url));
  const publisher = new campaign.CampaignPublisher(main);
  const listener = new campaign.CampaignListener(hears);
  const own = { stream: STREAM, group: service, consumer: service };
  const consumer = new campaign.CampaignConsumer(reads, { ...own, batchSize: 100 }, (event) => {
    heard.group.push(event.metadata.eventId);
  });
  return {
    listen: () =>
      listener.start(({ metadata, data }) => live(metadata.eventId, metadata.eventType, data)),
    async consume() {
      await consumer.start();
      // A start takes up ten pending entries; what was handed back may be more.
      while ((await consumer.takeUp()) > 0);
    },
    store: (id, data) => publisher.store(STREAM, campaign.makeEvent(STORED, data, id)),
    publish: (id, data) => publisher.storeAndPublish(STREAM, campaign.makeEvent(LIVE, data, id)),
    async leave() {
      await consumer.stop();
      await listener.stop();
      for (const redis of [main, reads, hears]) redis.disconnect();
    },
  };
}

function onOxbus() {
  const bus = new EventBusClient({
    serviceName: service,
    redis: url,
    ...config,
    streams: [{ name: STREAM, events: 'campaign.*', realtime: [LIVE] }],
    logLevel: 'error',
  });
  return {
    async listen() {
      await bus.connect();
      await bus.subscribe([LIVE, CUT], ({ id, type, data }) => live(id, type, data));
    },
    consume: () =>
      bus.subscribe('campaign.*', ({ id }) => void heard.group.push(id), { group: service }),
    store: (id, data) => bus.publish(STORED, data, { id }),
    publish: (id, data) => bus.publish(LIVE, data, { id }),
    leave: () => bus.disconnect(),
  };
}

const bus = config === undefined ? onTheOldBus() : onOxbus();

/** Publishes at a rate, half of it live: what is due at each tick. */
const load = { timer: undefined, live: [], stored: [], failed: [], under: new Set(), holds: false };

function startLoad({ rate }) {
  const started = performance.now();
  const data = (n) => ({ campaignId: String(n % 50), n });
  const send = (call, ids) => {
    const id = `${name}-${ids === load.live ? 'l' : 's'}${ids.length}`;
    ids.push(id);
    const sent = call(id, data(ids.length)).catch(() => load.failed.push(id));
    load.under.add(sent);
    void sent.finally(() => load.under.delete(sent));
  };
  load.timer = setInterval(() => {
    const due = ((performance.now() - started) / 1000) * (rate / 2);
    while (load.stored.length < due) send(bus.store, load.stored);
    while (!load.holds && load.live.length < due) send(bus.publish, load.live);
  }, TICK_MS);
}

const settled = () => Promise.all(load.under);

const orders = {
  listen: () => bus.listen(),
  consume: () => bus.consume(),
  publish: startLoad,
  async hold() {
    load.holds = true;
    await settled();
  },
  resume() {
    load.holds = false;
  },
  async hush() {
    clearInterval(load.timer);
    await settled();
  },
  counts: () => ({ live: heard.live.length, group: heard.group.length }),
  async leave() {
    await bus.leave();
    const { live: published, stored, failed } = load;
    return { heard, published, stored, failed };
  },
};

process.on('message', async ({ kind, ...given }) => {
  try {
    const answer = await orders[kind](given);
    // A subscription is no answer. Whoever leaves ends when its report has been sent.
    const sent = () => kind === 'leave' && process.disconnect();
    process.send({ kind, ...(kind === 'consume' ? {} : answer) }, sent);
  } catch (error) {
    process.send({ kind: 'failed', message: `${kind}: ${error.stack}` });
  }
});
process.on('disconnect', () => process.exit());
process.send({ kind: 'begun' });
