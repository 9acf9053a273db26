// Consumes a backlog as a group and acknowledges each event, for a fixed time.

import { startMeter } from '../support/meter.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function run({ loadStreams, params }) {
  const { url, stream, group, concurrency, count, duration, warmUp } = params;
  const { createConsumer } = await loadStreams();
  const consumer = createConsumer(url, { stream, groups: [group], concurrency });
  let handled = 0;
  let ranDry;
  const dry = new Promise((resolve) => {
    ranDry = resolve;
  });
  await consumer.start(async (event) => {
    if (event.data === undefined) throw new Error('an event without data');
    handled += 1;
    if (handled === count) ranDry();
  });

  await pause(warmUp);
  const meter = startMeter();
  const started = performance.now();
  const before = handled;
  await Promise.race([pause(duration), dry]);
  const lasted = performance.now() - started;
  const result = meter.stop(handled - before);
  if (lasted < duration / 2) throw new Error(`${count} events were not enough`);
  await consumer.close();
  return { ...result, handled };
}
