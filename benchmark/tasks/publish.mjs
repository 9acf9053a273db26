// Publishes for a fixed time with a fixed number of calls in flight.

import { CHANNEL } from '../support/channel.mjs';
import { startMeter } from '../support/meter.mjs';
import { payloads } from '../support/payloads.mjs';

export async function run({ load, params }) {
  const { url, payload, inFlight, duration, warmUp } = params;
  const data = payloads(payload);
  const bus = (await load()).createBus(url);
  await bus.connect();

  let published = 0;
  async function publishFor(time) {
    const deadline = performance.now() + time;
    const before = published;
    const lane = async () => {
      while (performance.now() < deadline) {
        await bus.publish(CHANNEL, data[published++ % data.length]);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    return published - before;
  }

  await publishFor(warmUp);
  const meter = startMeter();
  const measured = await publishFor(duration);
  const result = meter.stop(measured);
  await bus.close();
  return { ...result, published };
}
