// `npm run move -- [--way wires|import] [--runs 5] [--rate 2000] [--rest 500]`: three services on campaign's bus move to Oxbus, one at a
// time, and back, under load. Each publishes a third of the events, half of them live; each has a live handler and a group. Fails when a
// handler has lost an event or has got one twice, by its id. See docs/migration.md, which is this way.

import { parseArgs } from 'node:util';
import { prepare, SetupError, script } from './prepare.mjs';

const { values } = parseArgs({
  options: {
    way: { type: 'string', default: 'wires' },
    runs: { type: 'string', default: '5' },
    rate: { type: 'string', default: '2000' },
    rest: { type: 'string', default: '500' },
  },
});

await script('move', async () => {
  const { way } = values;
  const [runs, rate, rest] = ['runs', 'rate', 'rest'].map((name) => {
    const value = Number(values[name]);
    if (!(value >= 1)) throw new SetupError(`--${name} is not a number of at least 1`);
    return value;
  });
  prepare();
  const { WAYS } = await import('./move/scenario.mjs');
  const { runMove } = await import('./move/run.mjs');
  const { startServer } = await import('../benchmark/support/server.mjs');
  if (WAYS[way] === undefined) throw new SetupError(`there is no way '${way}'`);
  for (let run = 1; run <= runs; run += 1) {
    const server = await startServer();
    const { services, ...result } = await runMove({ redis: server.url, way, rate, rest });
    server.stop();
    const { published, seconds, failed, moves } = result;
    const pace = `${published} events, ${Math.round(published / seconds)} a second`;
    console.log(`run ${run}: ${moves} moves, ${pace}, ${failed} failed`);
    for (const { service, ...kinds } of services) {
      for (const [kind, { heard, lost, doubled, strange }] of Object.entries(kinds)) {
        console.log(`  ${service}, ${kind}: ${heard} heard, ${lost} lost, ${doubled} doubled`);
        if (lost + doubled + strange + failed > 0) process.exitCode = 1;
      }
    }
  }
});
