import { FLOOR, peers, subjects } from './support/contestants.mjs';
import { aheadOf } from './support/events.mjs';
import { startContestant, startProcess } from './support/process.mjs';

export const question =
  'How many events per second reach the handler of a pattern subscription, and what does each cost?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2 },
  { key: 'resident', label: 'resident MB', better: 'lower', digits: 0, compared: true },
  // A figure with losses is worth nothing, so the run fails.
  { key: 'lost', label: 'lost', better: 'lower', digits: 0, must: 0 },
];

const contestants = [...subjects, 'oxbus-no-inherit', ...peers, FLOOR];

/** Those that tell what a shape costs that is new to the reader of it. */
const readers = [...subjects, 'node-redis', FLOOR];

export const cases = [
  { name: 'small events, sync handler', payload: 'small', handler: 'sync', contestants },
  { name: 'small events, async handler', payload: 'small', handler: 'async', contestants },
  { name: 'orders of 3 KB, sync handler', payload: 'medium', handler: 'sync', contestants },
  {
    name: 'GitHub webhooks (10 KB), sync handler',
    payload: 'github',
    handler: 'sync',
    contestants: [...contestants, 'oxbus-raw'],
  },
  {
    name: 'GitHub webhooks (10 KB), async handler',
    payload: 'github',
    handler: 'async',
    contestants,
  },
  {
    name: '2,000 shapes in turn, sync handler',
    payload: 'shapes2000',
    handler: 'sync',
    contestants: readers,
  },
  {
    name: 'adversarial keys, sync handler',
    payload: 'adversarial',
    handler: 'sync',
    contestants: readers,
  },
];

export async function measure(contestant, { payload, handler }, { server, duration, warmUp }) {
  const flood = startProcess('./flood.mjs', [
    server.port,
    payload,
    aheadOf(payload),
    '',
    contestant,
  ]);
  const child = startContestant();
  try {
    const { port: creditPort } = await flood.next('listening');
    child.send({
      kind: 'run',
      contestant,
      task: 'receive',
      params: { url: server.url, payload, handler, duration, warmUp, creditPort },
    });
    if (contestant !== FLOOR) {
      await child.next('subscribed');
      flood.send({ kind: 'start' });
      await child.next('measured');
      flood.send({ kind: 'stop' });
      child.send(await flood.next('sent'));
    }
    return (await child.next('result')).result;
  } finally {
    await Promise.all([child.stop(), flood.stop()]);
  }
}
