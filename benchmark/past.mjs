import { emptied, freshName } from './support/backlog.mjs';
import { subjects } from './support/contestants.mjs';
import { runTask } from './support/task.mjs';

export const question =
  'How many past events per second can a service replay or read as history, and what does each cost?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2, compared: true },
];

/** `stored`: events in the stream. `times`: how often all of them are read in a run, once more before it is measured. */
export const cases = [
  {
    name: 'replay of 100,000 small events',
    payload: 'small',
    read: 'replay',
    stored: 100_000,
    times: 1,
    contestants: subjects,
  },
  {
    name: 'replay of 100,000 GitHub webhooks (10 KB), 10,000 of them ten times',
    payload: 'github',
    read: 'replay',
    stored: 10_000,
    times: 10,
    contestants: subjects,
  },
  {
    name: 'histories of 1,000 small events',
    payload: 'small',
    read: 'history',
    stored: 1_000,
    times: 50,
    contestants: subjects,
  },
  {
    name: 'histories of 1,000 GitHub webhooks (10 KB)',
    payload: 'github',
    read: 'history',
    stored: 1_000,
    times: 20,
    contestants: subjects,
  },
];

/** One run of one contestant; fails when not every stored event was read. */
export function measure(contestant, { payload, read, stored, times }, { server, duration }) {
  // A smoke run is shorter.
  const count = Math.ceil(stored * Math.min(1, duration / 1000));
  return emptied(server, () =>
    runTask(contestant, 'past', {
      ...{ url: server.url, stream: freshName(), payload, read, count, times },
    }),
  );
}
