import { BEFORE } from './support/before.mjs';
import { subjects } from './support/contestants.mjs';
import { startContestant } from './support/process.mjs';

export const question =
  'How long does a request take to its reply, and how many fit into a second?';

export const metrics = [
  { key: 'p50', label: 'p50 µs', better: 'lower', digits: 0, compared: true },
  { key: 'p99', label: 'p99 µs', better: 'lower', digits: 0 },
  { key: 'rate', label: 'requests/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/request, both sides', better: 'lower', digits: 1, compared: true },
  { key: 'js', label: 'JS threads µs/request, both sides', better: 'lower', digits: 1 },
];

const ofNest = BEFORE ? ['oxbus-nestjs', 'oxbus-nestjs-before'] : ['oxbus-nestjs'];
const contestants = [...subjects, ...ofNest, 'ioredis', 'ioredis-autopipelining', 'nestjs'];

/** One process asks, and one answers with what it was given. */
export const cases = [
  { name: 'small data, one at a time', payload: 'small', inFlight: 1, contestants },
  { name: 'small data, 500 in flight', payload: 'small', inFlight: 500, contestants },
];

export async function measure(contestant, { payload, inFlight }, { server, duration, warmUp }) {
  const params = { url: server.url, type: 'echo', payload, inFlight, duration, warmUp };
  const [responder, requester] = [startContestant(), startContestant()];
  try {
    responder.send({ kind: 'run', contestant, task: 'responder', params });
    await responder.next('ready');
    requester.send({ kind: 'run', contestant, task: 'request', params });
    await requester.next('begin');
    responder.send({ kind: 'measure' });
    requester.send({ kind: 'begun' });
    const { result } = await requester.next('result');
    responder.send({ kind: 'measured' });
    const spent = await responder.next('spent');
    responder.send({ kind: 'stop' });
    await responder.next('result');
    return { ...result, cpu: result.cpu + spent.cpu, js: result.js + spent.js };
  } finally {
    await Promise.all([responder.stop(), requester.stop()]);
  }
}
