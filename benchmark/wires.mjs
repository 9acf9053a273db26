import { measure as measurePublish } from './publish.mjs';
import { measure as measureReceive } from './receive.mjs';
import { subjects } from './support/contestants.mjs';
import { wires } from './support/wires.mjs';

export { metrics } from './publish.mjs';

export const question =
  'What does an event cost in the format of a peer, and in one that a user describes?';

const contestants = [...subjects, ...Object.keys(wires)];

export const cases = [
  { name: 'publish, small events, 500 in flight', payload: 'small', inFlight: 500, contestants },
  ...['small', 'github'].map((payload) => ({
    name: `receive, ${payload} events, sync handler`,
    ...{ payload, handler: 'sync', contestants },
  })),
];

export function measure(contestant, { payload, inFlight, handler }, context) {
  if (handler === undefined) return measurePublish(contestant, { payload, inFlight }, context);
  return measureReceive(contestant, { payload, handler }, context);
}
