import { startContestant } from './process.mjs';
import { serverCpu } from './server-cpu.mjs';
import { runTask } from './task.mjs';

const LIMIT_MS = 10_000;
/** For how long nothing may arrive before the rest counts as lost. */
const SILENCE_MS = 2000;

/**
 * Publishes live events of many types while three clients listen, and asks the masters what they have spent on it.
 *
 * @param definition `each`: every listener has all events, else a third of the types; `inFlight`
 */
export async function measureLiveLoad(contestant, definition, { cluster, target, ...times }) {
  const { each, inFlight } = definition;
  const types = Array.from({ length: 48 }, (_, n) => `bench.t${n}.shipped`);
  const third = (at) => types.filter((_, n) => n % cluster.masters.length === at);
  const patterns = cluster.masters.map((_, at) => (each ? ['bench.*'] : third(at)));
  const listener = startContestant();
  try {
    // A client of sharded lanes listens at all masters that it needs.
    const isPlaced = contestant !== 'oxbus-sharded';
    const params = { target, patterns, isPlaced };
    listener.send({ kind: 'run', contestant, task: 'cluster-listen', params });
    await listener.next('listening');
    const before = await serverCpu(cluster.masters);
    const { duration, warmUp } = times;
    const result = await runTask(contestant, 'cluster-publish', {
      ...{ target, types, payload: 'small', inFlight, duration, warmUp },
    });
    const expected = result.published * (each ? patterns.length : 1);
    const arrived = await untilArrived(listener, expected);
    const server = ((await serverCpu(cluster.masters)) - before) / result.published;
    listener.send({ kind: 'stop' });
    const { dropped } = (await listener.next('result')).result;
    return { ...result, server, dropped, lost: expected - arrived - dropped };
  } finally {
    await listener.stop();
  }
}

/** Waits until all have arrived, or until no more come. */
async function untilArrived(listener, expected) {
  const deadline = Date.now() + LIMIT_MS;
  for (let [last, since] = [-1, Date.now()]; ; ) {
    listener.send({ kind: 'count' });
    const { count } = await listener.next('count');
    if (count !== last) [last, since] = [count, Date.now()];
    const now = Date.now();
    if (count >= expected || now - since > SILENCE_MS || now > deadline) return count;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
