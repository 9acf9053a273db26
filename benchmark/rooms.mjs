import { runTask } from './support/task.mjs';

export const question = 'How many events of a room reach its members?';

export const metrics = [
  { key: 'rate', label: 'deliveries/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/delivery', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/delivery', better: 'lower', digits: 2 },
  { key: 'joined', label: 'all joined, ms', better: 'lower', digits: 1 },
  { key: 'lost', label: 'lost', better: 'lower', digits: 0, must: 0 },
];

const contestants = ['oxbus', 'ioredis', 'ioredis-autopipelining'];

export const cases = [
  { name: '20 clients of one process in a room, 500 bytes', clients: 20, window: 64, contestants },
];

export const measure = (name, { clients, window }, { server, duration, warmUp }) =>
  runTask(name, 'rooms', {
    url: server.url,
    clients,
    window,
    payload: 'small',
    duration,
    warmUp,
  });
