import { CHANNEL } from './channel.mjs';
import { startMeter } from './meter.mjs';

/**
 * Publishes with a fixed number of events on their way, first to warm up and then measured. A bus
 * with `bulk` gets so many events in one call.
 */
export async function measurePublishing(bus, data, { inFlight, duration, warmUp }) {
  const bulk = bus.bulk ?? 1;
  let published = 0;
  const next = () => data[published++ % data.length];
  const call =
    bulk > 1
      ? () => bus.publishAll(CHANNEL, Array.from({ length: bulk }, next))
      : () => bus.publish(CHANNEL, next());

  async function publishFor(time) {
    const deadline = performance.now() + time;
    const before = published;
    const lane = async () => {
      while (performance.now() < deadline) await call();
    };
    await Promise.all(Array.from({ length: inFlight / bulk }, lane));
    return published - before;
  }

  await publishFor(warmUp);
  const meter = startMeter();
  const measured = await publishFor(duration);
  return { ...meter.stop(measured), published };
}

/** How often a paced load publishes what is due. */
const TICK_MS = 2;

/** Publishes so many events per second, first to warm up and then measured: all buses do the same then, and in batches of the same size. */
export async function measurePaced(bus, data, { rate, duration, warmUp }) {
  let published = 0;
  const publishFor = async (time) => {
    const [started, before, calls] = [performance.now(), published, []];
    for (let now = started; now < started + time; now = performance.now()) {
      const due = ((now - started) / 1000) * rate;
      for (; published - before < due; published += 1) {
        calls.push(bus.publish(CHANNEL, data[published % data.length]));
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    await Promise.all(calls);
    return published - before;
  };
  await publishFor(warmUp);
  const meter = startMeter();
  const measured = await publishFor(duration);
  return { ...meter.stop(measured), published };
}
