import { runTask } from './support/task.mjs';

export const question =
  'How long does an event of hybrid mode take to a handler of the same client, and to its result?';

export const metrics = [
  { key: 'p50', label: 'to the handler, p50 µs', better: 'lower', digits: 0, compared: true },
  { key: 'p99', label: 'p99 µs', better: 'lower', digits: 0, compared: true },
  { key: 'settled', label: 'to the result, p50 µs', better: 'lower', digits: 0, compared: true },
];

export const cases = [
  {
    name: 'small events, one at a time',
    payload: 'small',
    contestants: ['oxbus', 'ioredis'],
  },
];

export const measure = (contestant, { payload }, { server, duration, warmUp }) =>
  runTask(contestant, 'hybrid', { url: server.url, payload, duration, warmUp });
