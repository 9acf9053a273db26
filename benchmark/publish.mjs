import { CHANNEL } from './support/channel.mjs';
import { FLOOR, peers, subjects } from './support/contestants.mjs';
import { countingArrivals } from './support/counting.mjs';
import { eventTexts } from './support/events.mjs';
import { redisBenchmark } from './support/redis-benchmark.mjs';
import { runTask } from './support/task.mjs';

const PIPELINE = 64;

export const question =
  'How many events per second can a service publish, and what does each cost?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2 },
];

const contestants = [...subjects, ...peers, FLOOR, 'redis-benchmark'];

export const cases = [
  { name: 'small events, 500 in flight', payload: 'small', inFlight: 500, contestants },
  { name: 'small events, one at a time', payload: 'small', inFlight: 1, contestants },
  {
    name: 'GitHub webhooks (10 KB), 500 in flight',
    payload: 'github',
    inFlight: 500,
    contestants: [...contestants, 'oxbus-raw'],
  },
];

/** One run of one contestant; fails when not every published event arrived at the counter. */
export async function measure(contestant, { payload, inFlight }, context) {
  const { server, duration, warmUp } = context;
  if (contestant === 'redis-benchmark') return publishByRedisBenchmark(payload, inFlight, context);
  const publish = () =>
    runTask(contestant, 'publish', { url: server.url, payload, inFlight, duration, warmUp });
  if (contestant === FLOOR) return publish();
  return countingArrivals(server, publish, ({ published }) => published);
}

// The rate that Redis itself takes, from a C program that sends the same bytes again and again.
function publishByRedisBenchmark(payload, inFlight, { server, duration }) {
  const alone = inFlight === 1;
  const perSecond = alone ? 20_000 : payload === 'small' ? 300_000 : 40_000;
  // The program sends whole pipelines only.
  const count = Math.ceil((perSecond * duration) / 1000 / PIPELINE) * PIPELINE;
  const command = ['PUBLISH', CHANNEL, eventTexts(payload)[0]];
  const publish = async () =>
    redisBenchmark(server, command, {
      count,
      pipeline: alone ? 1 : PIPELINE,
      clients: alone ? 1 : 8,
    });
  return countingArrivals(server, publish, () => count);
}
