import { peers, subjects } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export const question = 'How much resident memory does a client take, and a subscription?';

export const metrics = [
  { key: 'process', label: 'process with one client MB', better: 'lower', digits: 1 },
  { key: 'client', label: 'KB per further client', better: 'lower', digits: 1, compared: true },
  { key: 'subscription', label: 'KB per subscription', better: 'lower', digits: 2, compared: true },
];

export const cases = [
  {
    name: '100 clients, 10,000 pattern subscriptions',
    clients: 100,
    subscriptions: 10_000,
    contestants: [...subjects, ...peers],
  },
];

export const measure = (contestant, { clients, subscriptions }, { server, quick }) =>
  runTask(
    contestant,
    'memory',
    quick
      ? { url: server.url, clients: 10, subscriptions: 500 }
      : { url: server.url, clients, subscriptions },
    ['--expose-gc'],
  );
