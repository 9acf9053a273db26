import { FLOOR, subjects } from './support/contestants.mjs';
import { aheadOf } from './support/events.mjs';
import { startContestant, startProcess } from './support/process.mjs';
import { runtimes, versionOf } from './support/runtimes.mjs';

export const question =
  'What does it cost the JavaScript thread to read an event, beside JSON.parse of its text?';

export const metrics = [
  { key: 'js', label: 'JS thread CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
];

const contents = {
  small: 'small events',
  medium: 'orders of 3 KB',
  github: 'GitHub webhooks (10 KB)',
  shapes2000: '2,000 shapes in turn',
  adversarial: 'adversarial keys',
};

export const cases = runtimes().flatMap((runtime) => {
  const version = versionOf(runtime);
  return Object.entries(contents).map(([payload, content]) => ({
    name: `${content}, ${version}`,
    payload,
    runtime,
    contestants: [...subjects, FLOOR],
  }));
});

export async function measure(contestant, { payload, runtime }, { server, duration, warmUp }) {
  // It is never ahead: what it sends is what the subscriber asks for.
  const flood = startProcess('./flood.mjs', [server.port, payload, 0]);
  const child = startContestant({ runtime });
  try {
    const { port: creditPort } = await flood.next('listening');
    flood.send({ kind: 'start' });
    const params = { url: server.url, payload, events: aheadOf(payload), creditPort };
    child.send({
      kind: 'run',
      contestant,
      task: 'shapes',
      params: { ...params, duration, warmUp },
    });
    return (await child.next('result')).result;
  } finally {
    await Promise.all([child.stop(), flood.stop()]);
  }
}
