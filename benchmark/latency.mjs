import { peers, subjects } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export const question = 'How long does one event take from publish to handler, through Redis?';

export const metrics = [
  { key: 'p50', label: 'p50 µs', better: 'lower', digits: 0, compared: true },
  { key: 'p99', label: 'p99 µs', better: 'lower', digits: 0, compared: true },
];

export const cases = [
  {
    name: 'small events, one at a time, same process',
    payload: 'small',
    contestants: [...subjects, ...peers],
  },
];

export const measure = (contestant, { payload }, { server, duration, warmUp }) =>
  runTask(contestant, 'latency', { url: server.url, payload, duration, warmUp });
