import { startContestant, startProcess } from './support/process.mjs';

export const question =
  'What does a bus cost in front of the sockets of a Socket.IO server, and as a hub of services?';

const rates = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 1, compared: true },
];
const times = [
  { key: 'p50', label: 'p50 ms', better: 'lower', digits: 3, compared: true },
  { key: 'p99', label: 'p99 ms', better: 'lower', digits: 3 },
];

export const metrics = rates;

export const cases = [
  {
    name: 'events to 5,000 sockets of one process; `direct` is `io.emit` without a bus',
    to: 'all',
    sockets: 5000,
    rooms: 1000,
    window: 16,
    contestants: ['oxbus', 'ioredis', 'direct'],
    metrics: rates,
  },
  {
    name: 'events to 1,000 rooms at random, of one socket each',
    to: 'room:{data.room}',
    sockets: 1000,
    rooms: 1000,
    window: 1024,
    contestants: ['oxbus', 'ioredis'],
    metrics: rates,
  },
  {
    name: 'events to 1,000 rooms at random, a tenth of which have a socket in this process',
    to: 'room:{data.room}',
    sockets: 100,
    rooms: 1000,
    window: 500,
    contestants: ['oxbus', 'ioredis'],
    metrics: rates,
  },
  {
    name: 'from one service to another through the hub; `plain` is Socket.IO without a bus',
    isHub: true,
    contestants: ['oxbus', 'plain'],
    metrics: times,
  },
];

export const measure = (contestant, definition, how) =>
  definition.isHub ? measureHub(contestant, how) : measureBridge(contestant, definition, how);

async function measureBridge(contestant, definition, { server, duration, warmUp }) {
  const { to, sockets, rooms, window } = definition;
  const child = startContestant();
  let readers;
  try {
    const params = { url: server.url, to, sockets, rooms, window, duration, warmUp };
    child.send({ kind: 'run', contestant, task: 'bridge', params });
    const { port } = await child.next('serving');
    const kind = to === 'all' ? 'all' : 'rooms';
    const how = contestant === 'direct' ? 'tell' : 'publish';
    const args = [server.port, port, sockets, rooms, window, kind, how];
    readers = startProcess('./socket-readers.mjs', args);
    readers.send({ kind: 'open' });
    await readers.next('opened');
    child.send({ kind: 'opened' });
    await child.next('measuring');
    readers.send({ kind: 'start' });
    return (await child.next('result')).result;
  } finally {
    await Promise.all([child.stop(), readers?.stop()]);
  }
}

async function measureHub(contestant, { server, duration, warmUp }) {
  const child = startContestant();
  let services;
  try {
    child.send({ kind: 'run', contestant, task: 'hub', params: { url: server.url } });
    const { port } = await child.next('serving');
    services = startProcess('./hub-services.mjs', [contestant, port, duration, warmUp]);
    return (await services.next('result')).result;
  } finally {
    await Promise.all([child.stop(), services?.stop()]);
  }
}
