// Publishes behind a history, then consumes what was published by several groups of one client.

import { CHANNEL } from '../support/channel.mjs';
import { startMeter } from '../support/meter.mjs';
import { payloads } from '../support/payloads.mjs';

const IN_FLIGHT = 500;
const WARM_UP_EVENTS = 20_000;

export async function run({ loadStreams, params, parent }) {
  const { url, stream, groups, concurrency, events } = params;
  const { createStore, createConsumer } = await loadStreams();
  const [data] = payloads('small');

  const publish = async (name, count) => {
    const store = createStore(url, { stream: name, realtime: false });
    await store.connect();
    let published = 0;
    const lane = async () => {
      while (published++ < count) await store.publish(CHANNEL, data);
    };
    const meter = startMeter();
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
    const { cpu } = meter.stop(count);
    await store.close();
    return cpu;
  };
  await publish(`${stream}-warm-up`, WARM_UP_EVENTS);
  parent.send({ kind: 'warm' });
  await parent.next('publish');
  const publishing = await publish(stream, events);
  parent.send({ kind: 'published' });
  await parent.next('consume');

  const deliveries = events * groups.length;
  const consumer = createConsumer(url, { stream, groups, concurrency });
  let handled = 0;
  const meter = startMeter();
  await new Promise((resolve, reject) => {
    const handler = async () => {
      handled += 1;
      if (handled === deliveries) resolve();
    };
    consumer.start(handler).catch(reject);
  });
  const { cpu: consuming } = meter.stop(deliveries);
  await consumer.close();
  return { publish: publishing, consume: consuming, deliveries, handled };
}
