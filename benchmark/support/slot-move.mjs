import { startContestant } from './process.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Moves the slots of all streams of a group to other masters, one after the other, while one process publishes at a steady
 * rate and another one consumes. Each stream moves key by key (`SETSLOT`, `MIGRATE`), as all servers can.
 */
export async function measureMove(contestant, cluster, params, { duration, warmUp }) {
  const { streams } = params;
  const [publisher, consumer] = [startContestant(), startContestant()];
  try {
    consumer.send({ kind: 'run', contestant, task: 'cluster-watch', params });
    await consumer.next('listening');
    publisher.send({ kind: 'run', contestant, task: 'cluster-steady', params });
    await publisher.next('publishing');
    await pause(warmUp);
    publisher.send({ kind: 'before' });
    await pause(duration);
    publisher.send({ kind: 'during' });
    const began = performance.now();
    for (const stream of streams) await cluster.moveOn(stream);
    const moving = performance.now() - began;
    publisher.send({ kind: 'after' });
    await pause(duration);
    publisher.send({ kind: 'stop' });
    const { result: sent } = await publisher.next('result');
    const total = sent.published.reduce((sum, count) => sum + count);
    if (sent.failed > 0) throw new Error(`${sent.failed} of ${total} failed: ${sent.failure}`);
    consumer.send({ kind: 'total', total });
    const { result: got } = await consumer.next('result');
    return { ...sent, moving, lost: total - got.count, late: got.late, repeated: got.repeated };
  } finally {
    await Promise.all([publisher.stop(), consumer.stop()]);
  }
}
