import { startMeter } from './meter.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Consumes a backlog of `count` events, first to warm up and then measured, and closes the consumer. */
export async function measureConsuming(consumer, { count, duration, warmUp }) {
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
