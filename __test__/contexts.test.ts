/**
 * Which asynchronous context the code of users runs in. `OXBUS_NODES` names further runtimes for these tests, as paths
 * separated like those of `PATH`: other versions of Node, or Bun.
 */

import { delimiter, join } from 'node:path';
import { RedisServer } from './support/redis-server';
import { run } from './support/scripts';

const PROGRAM = join(__dirname, 'support', 'seen-contexts.mjs');
const ENTRY = join(__dirname, '..', 'index.js');
const others = (process.env.OXBUS_NODES ?? '').split(delimiter).filter((path) => path !== '');
const runtimes = [process.execPath, ...others];

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** What keeps the context that it is in by the rules of the language. */
const OWN: Record<string, unknown> = {
  awaited: 'left behind by async handler',
  loop: 'iterates',
  inherits: true,
};

const cases = runtimes.flatMap((runtime) =>
  ['memory', 'redis', 'hybrid'].map((mode) => [mode, runtime] as const),
);

test.each(cases)('code of users sees no context of others (%s, %s)', async (mode, runtime) => {
  const ended = await run(runtime, [PROGRAM, ENTRY, mode, server.url]);
  expect(ended).toMatchObject({ code: 0, err: '' });
  const seen: Record<string, unknown[]> = JSON.parse(ended.out);
  for (const [callback, stores] of Object.entries(seen)) {
    const only = OWN[callback] ?? null;
    expect({ callback, stores }).toEqual({ callback, stores: stores.map(() => only) });
  }
  expect(Object.keys(seen)).toEqual(expect.arrayContaining(['logger', 'handler of a replay']));
});
