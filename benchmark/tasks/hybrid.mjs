// One event at a time to a handler of the same client, and through Redis to nobody else.

import { CHANNEL, PATTERN } from '../support/channel.mjs';
import { loadHybrid } from '../support/contestants.mjs';
import { payloads } from '../support/payloads.mjs';
import { quantile } from '../support/statistics.mjs';

export async function run({ contestant, params }) {
  const { url, payload, duration, warmUp } = params;
  const [data] = payloads(payload);
  const bus = (await loadHybrid(contestant)).createBus(url);
  await bus.connect();
  let handled = 0;
  let handledAt = 0;
  await bus.subscribe(PATTERN, (event) => {
    if (event.data === undefined) throw new Error('an event without data');
    handled += 1;
    handledAt = performance.now();
  });

  let published = 0;
  const measureFor = async (time) => {
    const [toHandler, toResult] = [[], []];
    const deadline = performance.now() + time;
    while (performance.now() < deadline) {
      const started = performance.now();
      published += 1;
      await bus.publish(CHANNEL, data);
      toResult.push(performance.now() - started);
      if (handled !== published) throw new Error(`${handled} of ${published} were handled`);
      toHandler.push(handledAt - started);
      // A pause, so that the next event finds the client idle.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { toHandler, toResult };
  };
  await measureFor(warmUp);
  const { toHandler, toResult } = await measureFor(duration);
  await bus.close();
  const µs = (times, share) => quantile(times, share) * 1000;
  return {
    p50: µs(toHandler, 0.5),
    p99: µs(toHandler, 0.99),
    settled: µs(toResult, 0.5),
    events: toHandler.length,
  };
}
