// One event at a time through Redis and back into a handler of the same process.

import { CHANNEL, PATTERN } from '../support/channel.mjs';
import { payloads } from '../support/payloads.mjs';
import { quantile } from '../support/statistics.mjs';

export async function run({ load, params }) {
  const { url, payload, duration, warmUp } = params;
  const [data] = payloads(payload);
  const bus = (await load()).createBus(url);
  await bus.connect();
  let arrived;
  await bus.subscribe(PATTERN, () => arrived());

  const times = [];
  const measureFor = async (time) => {
    times.length = 0;
    const deadline = performance.now() + time;
    while (performance.now() < deadline) {
      const started = performance.now();
      const handled = new Promise((resolve) => {
        arrived = resolve;
      });
      await Promise.all([bus.publish(CHANNEL, data), handled]);
      times.push(performance.now() - started);
      // A pause, so that the next event finds the client idle.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await measureFor(warmUp);
  await measureFor(duration);
  await bus.close();
  const µs = (share) => quantile(times, share) * 1000;
  return { p50: µs(0.5), p99: µs(0.99), events: times.length };
}
