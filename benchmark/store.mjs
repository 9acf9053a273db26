import { backlogOf, emptied, entryFields, freshName } from './support/backlog.mjs';
import { subjects } from './support/contestants.mjs';
import { countingArrivals } from './support/counting.mjs';
import { eventTexts } from './support/events.mjs';
import { redisBenchmark } from './support/redis-benchmark.mjs';
import { runTask } from './support/task.mjs';

const PIPELINE = 64;

export const question = 'How many events per second can a service store, and what does each cost?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2 },
];

const clients = [...subjects, 'ioredis', 'ioredis-autopipelining', 'node-redis'];

export const cases = [
  {
    name: 'stored, small events, 500 in flight',
    payload: 'small',
    inFlight: 500,
    realtime: false,
    contestants: [...clients, 'bullmq', 'bullmq-bulk', 'redis-benchmark'],
  },
  {
    name: 'stored and published live, small events, 500 in flight',
    payload: 'small',
    inFlight: 500,
    realtime: true,
    contestants: clients,
  },
];

/**
 * One run of one contestant; fails when not every published event is in the stream and, where it
 * goes live as well, has arrived at a counter.
 */
export function measure(contestant, definition, context) {
  const { payload, inFlight, realtime } = definition;
  const { server, duration, warmUp } = context;
  return emptied(server, async () => {
    const stream = freshName();
    if (contestant === 'redis-benchmark') return addByRedisBenchmark(stream, payload, context);
    const store = () =>
      runTask(contestant, 'store', {
        ...{ url: server.url, payload, inFlight, duration, warmUp, stream, realtime },
      });
    const result = realtime
      ? await countingArrivals(server, store, ({ published }) => published)
      : await store();
    const stored = await backlogOf(contestant).stored(server, stream);
    if (stored !== result.published) {
      throw new Error(`${result.published} events were published and ${stored} stored`);
    }
    return result;
  });
}

// The rate that Redis itself takes, from a C program that adds the same entry again and again.
async function addByRedisBenchmark(stream, payload, { server, duration }) {
  const count = Math.ceil((300_000 * duration) / 1000 / PIPELINE) * PIPELINE;
  const fields = entryFields(eventTexts(payload)[0]);
  const command = ['XADD', stream, 'MAXLEN', '~', 1_000_000, '*', ...fields];
  return redisBenchmark(server, command, { count, pipeline: PIPELINE, clients: 8 });
}
