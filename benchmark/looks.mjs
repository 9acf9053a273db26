import { measure as consume } from './consume.mjs';
import { commandTimes } from './support/command-times.mjs';
import { subjects } from './support/contestants.mjs';

export const question = 'What does the server pay for the scripts of a group that reads?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0 },
  { key: 'page', label: 'entries a read', better: 'higher', digits: 0 },
  { key: 'scripts', label: 'scripts a read', better: 'lower', digits: 3 },
  {
    key: 'share',
    label: 'scripts, % of the time of reads',
    better: 'lower',
    digits: 2,
    compared: true,
  },
];

export const cases = [1000, 100, 10].map((concurrency) => ({
  name: `a backlog of small events, ${concurrency} at once, async handler`,
  payload: 'small',
  concurrency,
  contestants: subjects,
}));

/** As `consume` does it, and what the server says of its own time. */
export async function measure(contestant, definition, { server, ...times }) {
  const spent = await commandTimes(server);
  const result = await consume(contestant, definition, { server, ...times });
  const { reads, scripts } = await spent();
  return {
    rate: result.rate,
    page: result.handled / reads.calls,
    scripts: scripts.calls / reads.calls,
    share: (100 * scripts.usec) / reads.usec,
  };
}
