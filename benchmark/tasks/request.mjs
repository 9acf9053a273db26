// Makes requests for a fixed time, so many in flight, and measures how long each takes.

import { loadRequest } from '../support/contestants.mjs';
import { startMeter } from '../support/meter.mjs';
import { payloads } from '../support/payloads.mjs';
import { quantile } from '../support/statistics.mjs';

export async function run({ contestant, params, parent }) {
  const { url, type, payload, inFlight, duration, warmUp } = params;
  const [data] = payloads(payload);
  const { createRequester } = await loadRequest(contestant);
  const requester = await createRequester(url);
  const [first] = [await requester.request(type, data)];
  if (JSON.stringify(first) !== JSON.stringify(data)) throw new Error('the reply is another one');

  const times = [];
  const measureFor = async (time) => {
    times.length = 0;
    const deadline = performance.now() + time;
    const one = async () => {
      while (performance.now() < deadline) {
        const started = performance.now();
        await requester.request(type, data);
        times.push(performance.now() - started);
        // A pause, so that the next request finds the client idle.
        if (inFlight === 1) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all(Array.from({ length: inFlight }, one));
  };
  await measureFor(warmUp);
  parent.send({ kind: 'begin' });
  await parent.next('begun');
  const meter = startMeter();
  await measureFor(duration);
  const { rate, cpu, js } = meter.stop(times.length);
  const µs = (share) => quantile(times, share) * 1000;
  const result = { p50: µs(0.5), p99: µs(0.99), rate, cpu, js };
  await requester.close();
  return result;
}
