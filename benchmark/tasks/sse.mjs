// Serves server-sent events to many clients, which another process opens and reads, and which publishes no faster than they read.

import { startMeter } from '../support/meter.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Of the heap and outside of it, in KiB, after collection. */
async function kept() {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc();
    await pause(50);
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1024;
}

export async function run({ contestant, params, parent }) {
  const { url, clients, duration, warmUp } = params;
  const { createStreamServer } = await import(`../contestants/sse/${contestant}.mjs`);
  const server = await createStreamServer(url);
  parent.send({ kind: 'serving', port: server.port });
  // The first client brings code that all others share.
  while (server.clients() < 1) await pause(5);
  const before = await kept();
  parent.send({ kind: 'first' });
  while (server.clients() < clients) await pause(5);
  const idle = ((await kept()) - before) / (clients - 1);
  parent.send({ kind: 'all' });
  await pause(warmUp);
  const meter = startMeter();
  const from = server.sent();
  await pause(duration);
  const sent = server.sent() - from;
  const { rate, cpu, js } = meter.stop(sent);
  if (server.clients() !== clients) throw new Error(`${server.clients()} clients are left`);
  return { rate: rate / clients, cpu, js, idle, dropped: server.dropped() };
}
