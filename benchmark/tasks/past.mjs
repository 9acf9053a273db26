// Stores events, and reads them again and again, as a replay or as a history.

import { startMeter } from '../support/meter.mjs';
import { payloads } from '../support/payloads.mjs';

/** So many are on their way at a time while they are stored. */
const AT_ONCE = 500;

export async function run({ load, params }) {
  const { url, stream, payload, read, count, times } = params;
  const bus = (await load()).createBus(url, { streams: [{ name: stream, events: '*' }] });
  await bus.connect();
  const data = payloads(payload);
  for (let stored = 0; stored < count; stored += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - stored) }, (_, n) => stored + n);
    await Promise.all(some.map((n) => bus.publish('bench.past', data[n % data.length])));
  }
  let events = 0;
  const handler = (event) => {
    if (event.data === undefined) throw new Error('an event without data');
    events += 1;
  };
  const ways = {
    replay: () => bus.replay({ stream, handler }),
    history: async () => {
      const past = await bus.getHistory({ limit: count, source: 'redis' });
      past.forEach(handler);
    },
  };
  await ways[read]();
  const meter = startMeter();
  const before = events;
  for (let time = 0; time < times; time += 1) await ways[read]();
  const result = meter.stop(events - before);
  await bus.close();
  if (events !== count * (times + 1)) {
    throw new Error(`${events} events were read instead of ${count * (times + 1)}`);
  }
  return result;
}
