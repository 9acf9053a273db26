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

/** More events per second than a contestant reaches: such a backlog lasts longer than the measurement. */
const atMost = {
  oxbus: 500_000,
  ioredis: 150_000,
  'ioredis-grouped-acks': 200_000,
  'node-redis': 150_000,
  document: 25_000,
  bullmq: 40_000,
};

export const cases = [
  {
    name: 'small events, 100 at once, async handler',
    payload: 'small',
    concurrency: 100,
    contestants: [
      ...subjects,
      'ioredis',
      'ioredis-grouped-acks',
      'node-redis',
      'document',
      'bullmq',
    ],
  },
];

/** One run of one contestant; fails when not exactly what was handled is acknowledged. */
export function measure(contestant, { payload, concurrency }, { server, duration, warmUp }) {
  return emptied(server, async () => {
    const stream = freshName();
    const backlog = backlogOf(contestant);
    const count = Math.ceil(
      (atMost[contestant === BEFORE ? SUBJECT : contestant] * (duration + warmUp)) / 1000,
    );
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
