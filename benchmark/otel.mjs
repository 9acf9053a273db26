import { measure as measurePublish } from './publish.mjs';
import { measure as measureReceive } from './receive.mjs';
import { subjects } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export { metrics } from './publish.mjs';

export const question =
  'What do spans and metrics of OpenTelemetry cost a publish and a handled event?';

const TRACED = 'oxbus-otel';
const SPANS = 'spans-alone';

export const cases = [
  {
    name: 'publish, small events, 500 in flight',
    ...{ payload: 'small', inFlight: 500 },
    contestants: [...subjects, TRACED, SPANS],
  },
  ...['sync', 'async'].map((handler) => ({
    name: `receive, small events, ${handler} handler`,
    ...{ payload: 'small', handler },
    contestants: [...subjects, TRACED],
  })),
];

export function measure(contestant, { payload, inFlight, handler }, context) {
  if (handler !== undefined) return measureReceive(contestant, { payload, handler }, context);
  if (contestant !== SPANS) return measurePublish(contestant, { payload, inFlight }, context);
  const { server, duration, warmUp } = context;
  return runTask(SPANS, 'publish', { url: server.url, payload, inFlight, duration, warmUp });
}
