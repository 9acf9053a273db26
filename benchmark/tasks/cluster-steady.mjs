// Publishes at a steady rate to all streams in turn, until it is told to stop, and tells how long that took in each phase.

import { loadCluster } from '../support/contestants.mjs';
import { payloads } from '../support/payloads.mjs';
import { quantile } from '../support/statistics.mjs';

const TICK_MS = 5;

export async function run({ contestant, params, parent }) {
  const { target, streams, rate, payload } = params;
  const [data] = payloads(payload);
  const bus = (await loadCluster(contestant)).createStore(target, { streams });
  await bus.connect();

  const times = { warm: [], before: [], during: [], after: [] };
  let phase = 'warm';
  let failed = 0;
  let failure;
  let unsettled = 0;
  const published = streams.map(() => 0);
  const publish = (at) => {
    const [started, own] = [performance.now(), times[phase]];
    published[at] += 1;
    unsettled += 1;
    bus.publish(streams[at].type, { ...data, n: published[at] }).then(
      () => {
        unsettled -= 1;
        own.push(performance.now() - started);
      },
      (error) => {
        unsettled -= 1;
        failed += 1;
        failure ??= String(error);
      },
    );
  };

  let ending;
  const ended = new Promise((resolve) => {
    ending = resolve;
  });
  let [count, began, stopped] = [0, performance.now(), false];
  const tick = setInterval(() => {
    if (stopped && unsettled === 0) return ending();
    if (stopped) return;
    // What a tick that came late has left out is made up for.
    const due = ((performance.now() - began) / 1000) * rate;
    for (; count < due; count += 1) publish(count % streams.length);
  }, TICK_MS);
  parent.send({ kind: 'publishing' });
  for (const next of ['before', 'during', 'after']) {
    await parent.next(next);
    phase = next;
  }
  await parent.next('stop');
  stopped = true;
  began = performance.now() - began;
  await ended;
  clearInterval(tick);
  await bus.close();
  const figures = Object.entries(times).flatMap(([name, own]) => [
    [`${name}P50`, quantile(own, 0.5)],
    [`${name}P99`, quantile(own, 0.99)],
    [`${name}Most`, quantile(own, 1)],
  ]);
  return {
    published,
    failed,
    failure,
    rate: (count * 1000) / began,
    ...Object.fromEntries(figures),
  };
}
