// Two services of a hub in one process, which has one clock: one publishes, the other one has it.
//
//   node hub-services.mjs <contestant> <http port> <duration> <warm-up>

import { payloads } from './payloads.mjs';

const [contestant, port, duration, warmUp] = process.argv.slice(2);
const { openService } = await import(`../contestants/hub/${contestant}.mjs`);
const url = `http://127.0.0.1:${port}`;
const [from, to] = [await openService(url), await openService(url)];
const [data] = payloads('small');
let arrived;
await to.subscribe('order.shipped', () => arrived(performance.now()));
const took = [];
const begun = performance.now();
const end = begun + Number(warmUp) + Number(duration);
while (performance.now() < end) {
  const at = new Promise((resolve) => {
    arrived = resolve;
  });
  const sent = performance.now();
  const published = from.publish('order.shipped', data);
  const time = await at;
  await published;
  if (sent >= begun + Number(warmUp)) took.push(time - sent);
}
took.sort((a, b) => a - b);
const part = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
process.send({ kind: 'result', result: { p50: part(0.5), p99: part(0.99) } });
process.on('disconnect', () => process.exit());
