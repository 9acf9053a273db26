import { startProcess } from './process.mjs';

const ARRIVAL_MS = 10_000;

/** Runs `publish` and fails when not all of its live events arrive at a process that counts them. */
export async function countingArrivals(server, publish, expected) {
  const counter = startProcess('./arrivals.mjs', [server.port]);
  try {
    await counter.next('listening');
    const result = await publish();
    await untilArrived(counter, expected(result));
    return result;
  } finally {
    await counter.stop();
  }
}

async function untilArrived(counter, expected) {
  const deadline = Date.now() + ARRIVAL_MS;
  for (;;) {
    counter.send({ kind: 'count' });
    const { count } = await counter.next('count');
    if (count === expected) return;
    if (count > expected || Date.now() > deadline) {
      throw new Error(`${expected} events were published and ${count} arrived`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
