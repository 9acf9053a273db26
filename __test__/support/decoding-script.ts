/** Programs that receive many events of texts, each in a process of its own. */

import { type RunOptions, runScript } from './scripts';

/** What the programs share. Each of them has one client, whose handler calls `received`. */
const COMMON = `
  const { difference } = require(args.shift());
  const until = async (condition) => {
    const end = performance.now() + 60_000;
    while (!condition()) {
      if (performance.now() > end) throw new Error('never: ' + condition);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const open = (config) => new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error', ...config });

  /** How many events came. */
  let count = 0;
  /** Publishes the texts of so many numbers, not too many at once, and waits until the handler got them. */
  const send = async (bus, from, to, textOf) => {
    for (let at = from; at < to; at += 100) {
      const some = Array.from({ length: Math.min(100, to - at) }, (_, n) => textOf(at + n));
      await Promise.all(some.map((one) => bus.publish('text', oxbus.rawJson(one))));
      await until(() => count >= at + some.length);
    }
  };

  /** The heap and the resident memory, in bytes. */
  const memory = async () => {
    for (let time = 0; time < 3; time += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      gc();
    }
    const { heapUsed, rss } = process.memoryUsage();
    return { heapUsed, rss };
  };

  /** Strings and keys that do not come again. */
  let state = 1;
  const FILL = '_filled_with_what_is_always_the_same'.repeat(20);
  const fresh = (length) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 'k' + state.toString(16).padStart(8, '0') + FILL.slice(0, length - 9);
  };
`;

/** Runs a program with its arguments in `args`; resolves to what it prints as JSON. */
export async function runDecoding(
  code: string,
  given: readonly unknown[] = [],
  options: RunOptions = {},
): Promise<any> {
  const args = [require.resolve('./difference.js'), ...given];
  const ended = await runScript(COMMON + code, args, { limit: 60_000, ...options });
  expect(ended).toMatchObject({ code: 0, err: '' });
  return JSON.parse(ended.out);
}
