import { measure as measurePublish } from './publish.mjs';
import { measure as measureReceive } from './receive.mjs';
import { BEFORE } from './support/before.mjs';
import { SUBJECT, subjects } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export { metrics } from './publish.mjs';

export const question =
  'What do spans and metrics of OpenTelemetry cost a publish and a handled event?';

const SPANS = 'spans-alone';
/** Also those of the build that it is compared with. */
const traced = BEFORE ? ['oxbus-otel', 'oxbus-otel-before'] : ['oxbus-otel'];

const ways = [
  { way: 'publish, small events, 500 in flight', payload: 'small', inFlight: 500, alone: [SPANS] },
  ...['sync', 'async'].map((handler) => ({
    way: `receive, small events, ${handler} handler`,
    ...{ payload: 'small', handler, alone: [] },
  })),
];

const on = ways.map(({ way, alone, ...given }) => ({
  name: way,
  ...given,
  contestants: [SUBJECT, ...traced, ...alone],
}));

/** Who does not import `oxbus/otel` pays for the places where it would come in: to be seen beside a build from before only. */
const off = ways.map(({ way, alone, ...given }) => ({
  name: `off, ${way}`,
  ...given,
  contestants: subjects,
}));

export const cases = BEFORE ? [...on, ...off] : on;

export function measure(contestant, { payload, inFlight, handler }, context) {
  if (handler !== undefined) return measureReceive(contestant, { payload, handler }, context);
  if (contestant !== SPANS) return measurePublish(contestant, { payload, inFlight }, context);
  const { server, duration, warmUp } = context;
  return runTask(SPANS, 'publish', { url: server.url, payload, inFlight, duration, warmUp });
}
