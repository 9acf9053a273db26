// Publishes for a fixed time, with a fixed number of events in flight or at a fixed rate: live, or to all streams in turn. Live
// events are of one type, or of several in turn.

import { loadCluster } from '../support/contestants.mjs';
import { payloads } from '../support/payloads.mjs';
import { measurePaced, measurePublishing } from '../support/publishing.mjs';

export async function run({ contestant, params }) {
  const { target, payload, streams, types = streams?.map(({ type }) => type) } = params;
  const { createBus, createStore } = await loadCluster(contestant);
  const bus = streams ? createStore(target, { streams }) : createBus(target);
  await bus.connect();
  const measure = params.rate ? measurePaced : measurePublishing;
  const result = await measure(types ? inTurn(bus, types) : bus, payloads(payload), params);
  await bus.close();
  return result;
}

/** A bus on which each publish has the next type. */
function inTurn(bus, types) {
  let turn = 0;
  return {
    publish: (_, data) => {
      turn += 1;
      return bus.publish(types[turn % types.length], data);
    },
  };
}
