import { startContestant, startProcess } from './support/process.mjs';

export const question =
  'How many events per second reach each of 2,000 clients of server-sent events?';

export const metrics = [
  { key: 'rate', label: 'events/s to all', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event and client', better: 'lower', digits: 2, compared: true },
  { key: 'idle', label: 'KiB/idle client', better: 'lower', digits: 1, compared: true },
  { key: 'dropped', label: 'dropped', better: 'lower', digits: 0, must: 0 },
];

/** So many events are on their way: less than 1 MiB for a client. */
const WINDOW = 256;

export const cases = [
  {
    name: '2,000 clients of one process, 500 bytes',
    clients: 2000,
    contestants: ['oxbus', 'ioredis'],
  },
];

export async function measure(contestant, { clients }, { server, duration, warmUp }) {
  const child = startContestant({ execArgv: ['--expose-gc'] });
  let readers;
  try {
    const params = { url: server.url, clients, duration, warmUp };
    child.send({ kind: 'run', contestant, task: 'sse', params });
    const { port } = await child.next('serving');
    readers = startProcess('./sse-readers.mjs', [server.port, port, clients, WINDOW]);
    await child.next('first');
    readers.send({ kind: 'open' });
    await child.next('all');
    readers.send({ kind: 'start' });
    return (await child.next('result')).result;
  } finally {
    await Promise.all([child.stop(), readers?.stop()]);
  }
}
