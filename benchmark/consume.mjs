import { backlogOf, emptied, freshName } from './support/backlog.mjs';
import { BEFORE } from './support/before.mjs';
import { SUBJECT, subjects } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export const question =
  'How many stored events per second can a group handle and acknowledge, and what does each cost?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2 },
];

const GROUP = 'bench';

/**
 * More events per second than a contestant reaches: such a backlog lasts longer than the measurement. One of large events is
 * as short as it can be, because the server holds it in memory.
 */
const atMost = {
  small: {
    oxbus: 700_000,
    ioredis: 150_000,
    'ioredis-grouped-acks': 200_000,
    'node-redis': 150_000,
    document: 25_000,
    bullmq: 40_000,
  },
  medium: {
    oxbus: 200_000,
    ioredis: 70_000,
    'ioredis-grouped-acks': 80_000,
    'node-redis': 70_000,
    bullmq: 30_000,
  },
  github: {
    oxbus: 80_000,
    ioredis: 40_000,
    'ioredis-grouped-acks': 40_000,
    'node-redis': 40_000,
    bullmq: 20_000,
  },
};

const contestants = [...subjects, 'ioredis', 'ioredis-grouped-acks', 'node-redis', 'bullmq'];

export const cases = [
  {
    name: 'small events, 100 at once, async handler',
    payload: 'small',
    concurrency: 100,
    contestants: [...contestants, 'document'],
  },
  {
    name: 'orders of 3 KB, 100 at once, async handler',
    payload: 'medium',
    concurrency: 100,
    contestants,
  },
  {
    name: 'GitHub webhooks (10 KB), 100 at once, async handler',
    payload: 'github',
    concurrency: 100,
    contestants,
  },
];

/** One run of one contestant; fails when not exactly what was handled is acknowledged. */
export function measure(contestant, { payload, concurrency }, { server, duration, warmUp }) {
  return emptied(server, async () => {
    const stream = freshName();
    const backlog = backlogOf(contestant);
    const perSecond = atMost[payload][contestant === BEFORE ? SUBJECT : contestant];
    const count = Math.ceil((perSecond * (duration + warmUp)) / 1000);
    await backlog.fill(server, stream, count, payload);
    const result = await runTask(contestant, 'consume', {
      ...{ url: server.url, stream, group: GROUP, concurrency, count, duration, warmUp },
    });
    const acknowledged = await backlog.acknowledged(server, stream, GROUP);
    if (acknowledged !== result.handled) {
      throw new Error(`${result.handled} events were handled and ${acknowledged} acknowledged`);
    }
    return result;
  });
}
