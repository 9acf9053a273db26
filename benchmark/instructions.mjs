import { backlogOf, emptied, freshName } from './support/backlog.mjs';
import { countedByThread } from './support/callgrind.mjs';
import { SUBJECT, subjects } from './support/contestants.mjs';
import { aheadOf } from './support/events.mjs';
import { startProcess } from './support/process.mjs';

export const question = 'How many instructions does an event take, and on which threads?';

export const metrics = [
  { key: 'both', label: 'instructions/event', better: 'lower', digits: 0, compared: true },
  { key: 'js', label: 'JS thread', better: 'lower', digits: 0, compared: true },
  { key: 'jsAddon', label: '… in the addon', better: 'lower', digits: 0 },
  { key: 'jsLibc', label: '… in libc', better: 'lower', digits: 0 },
  { key: 'engine', label: 'engine threads', better: 'lower', digits: 0, compared: true },
  { key: 'engineAddon', label: '… in the addon', better: 'lower', digits: 0 },
  { key: 'helpers', label: 'helpers of Node.js', better: 'lower', digits: 0 },
];

/** A round takes minutes. Other programs add no instructions, but change how many events come together. */
export const rounds = 3;

export const cases = [
  { name: 'publish small events, 500 in flight', kind: 'publish', contestants: subjects },
  { name: 'receive small events, sync handler', kind: 'receive', contestants: subjects },
  {
    name: 'consume small events, 100 at once, async handler',
    kind: 'consume',
    contestants: subjects,
  },
];

const EVENTS_PER_MS = 20;
/** Events of the short run: behind them V8 compiles little any more. */
const WARM_UP = 30_016;
/** Events are sent in bursts of so many. */
const BURST = 64;

const program = new URL('./support/exact-work.mjs', import.meta.url);

/** Runs a contestant with so many events, each way with what it needs at the other end. */
const ways = {
  publish: (contestant, events, { url }) =>
    countedByThread(program, [contestant, 'publish', events, url]),
  async receive(contestant, events, { url, port }) {
    const flood = startProcess('./flood.mjs', [port, 'small', aheadOf('small'), events]);
    try {
      const { port: creditPort } = await flood.next('listening');
      // It starts with the first credit, which says that the subscription is there.
      return await countedByThread(program, [contestant, 'receive', events, url, creditPort]);
    } finally {
      await flood.stop();
    }
  },
  consume: (contestant, events, server) =>
    emptied(server, async () => {
      const stream = freshName();
      await backlogOf(SUBJECT).fill(server, stream, events, 'small');
      return countedByThread(program, [contestant, 'consume', events, server.url, stream]);
    }),
};

/** The difference of a long and a short run, so that starting, connecting and compiling are not in it. */
export async function measure(contestant, { kind }, { server, duration }) {
  const more = Math.ceil((duration * EVENTS_PER_MS) / BURST) * BURST;
  const short = sums(await ways[kind](contestant, WARM_UP, server));
  const long = sums(await ways[kind](contestant, WARM_UP + more, server));
  const perEvent = Object.entries(long).map(([key, count]) => [key, (count - short[key]) / more]);
  const { js, engine, ...others } = Object.fromEntries(perEvent);
  return { both: js + engine, js, engine, ...others };
}

/** The threads that run code of the addon are those of the engine; what else Node.js has collects garbage and compiles. */
function sums([first, ...others]) {
  const engine = others.filter((thread) => within(thread, isAddon) > 0);
  const helpers = others.filter((thread) => !engine.includes(thread));
  const all = (threads, wanted) => threads.reduce((sum, thread) => sum + within(thread, wanted), 0);
  const any = () => true;
  return {
    js: within(first, any),
    jsAddon: within(first, isAddon),
    jsLibc: within(first, isLibc),
    engine: all(engine, any),
    engineAddon: all(engine, isAddon),
    helpers: all(helpers, any),
  };
}

const isAddon = (file) => file.endsWith('.node');
const isLibc = (file) => /\/libc[.-][^/]*$/.test(file);

function within(thread, wanted) {
  let sum = 0;
  for (const [file, count] of thread) if (wanted(file)) sum += count;
  return sum;
}
