import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from '../scripts/prepare.mjs';
import { counted } from './support/callgrind.mjs';
import { SUBJECT } from './support/contestants.mjs';

export const question = 'Which share of the instructions of an event is there for statistics?';

export const metrics = [
  { key: 'total', label: 'instructions/event', better: 'lower', digits: 0 },
  { key: 'engine', label: 'of the engine', better: 'lower', digits: 0 },
  { key: 'statistics', label: 'for statistics', better: 'lower', digits: 0 },
  { key: 'ofAll', label: '% of all', better: 'lower', digits: 2 },
  { key: 'ofEngine', label: '% of the engine', better: 'lower', digits: 2 },
];

/** A round takes minutes. Other programs add no instructions, but change how many events come together. */
export const rounds = 3;

export const cases = ['live', 'durable'].map((kind) => ({
  name: `${kind} events, published and handled by one client`,
  kind,
  contestants: [SUBJECT],
}));

const EVENTS_PER_MS = 20;
/** The files of ours in which nothing else happens, wherever they lie. */
const OURS =
  /\/(model|engine)\/src\/(.*\/)?(metrics|metrics\/text|prometheus|histogram|stats|measures|handler_metrics)\.rs$/;
/** The files of others: the histogram, and every atomic operation, of which a part is for counters. */
const OF_OTHERS = /\/(hdrhistogram-[^/]*\/.*|core\/src\/sync\/atomic\.rs)$/;

let addon;

/** An addon that knows which line of the source an instruction is from. */
function withLines() {
  if (addon) return addon;
  const folder = join(root, 'target', 'overhead');
  run('cargo', ['build', '--release', '--quiet', '--package', 'oxbus'], {
    env: {
      CARGO_TARGET_DIR: folder,
      CARGO_PROFILE_RELEASE_DEBUG: 'line-tables-only',
      CARGO_PROFILE_RELEASE_STRIP: 'none',
    },
  });
  addon = join(folder, 'oxbus.node');
  copyFileSync(join(folder, 'release', 'liboxbus.so'), addon);
  return addon;
}

/** The difference of a long and a short run, so that starting and connecting are not in it. */
export async function measure(_contestant, { kind }, { server, duration }) {
  const program = new URL('./support/instructed.mjs', import.meta.url);
  const runOf = (events) => counted(program, [kind, events, server.url], withLines());
  const more = duration * EVENTS_PER_MS;
  const short = await runOf(more);
  const long = await runOf(2 * more);

  const perEvent = [...long].map(([file, count]) => [
    file,
    (count - (short.get(file) ?? 0)) / more,
  ]);
  const sum = (wanted) =>
    perEvent.reduce((all, [file, count]) => all + (wanted(file) ? count : 0), 0);
  const total = sum(() => true);
  const engine = sum((file) => file.endsWith('.rs'));
  const ours = sum((file) => OURS.test(file));
  if (ours === 0) throw new Error('no file that counts was found: were they renamed?');
  const statistics = ours + sum((file) => OF_OTHERS.test(file));
  return {
    ...{ total, engine, statistics },
    ofAll: (100 * statistics) / total,
    ofEngine: (100 * statistics) / engine,
  };
}
