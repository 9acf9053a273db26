import { peers, SUBJECT } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export const question =
  'How long does a new process take until its first subscription is confirmed?';

export const metrics = [
  { key: 'total', label: 'total ms', better: 'lower', digits: 1, compared: true },
  { key: 'load', label: 'load ms', better: 'lower', digits: 1 },
  { key: 'connect', label: 'connect ms', better: 'lower', digits: 1 },
  { key: 'subscribe', label: 'subscribe ms', better: 'lower', digits: 1 },
];

export const cases = [{ name: 'import, connect, subscribe', contestants: [SUBJECT, ...peers] }];

export const measure = (contestant, _case, { server }) =>
  runTask(contestant, 'start', { url: server.url });
