/**
 * Random texts of JSON, and what handlers get of them. `npm run soak` has a million. `OXBUS_NODES` names further runtimes for
 * a smaller part, as paths.
 */

import { delimiter, join } from 'node:path';
import { RedisServer } from './support/redis-server';
import { run } from './support/scripts';

const PROGRAM = join(__dirname, '..', 'scripts', 'soak', 'decoding.mjs');
const LIMIT = 60_000;
const others = (process.env.OXBUS_NODES ?? '').split(delimiter).filter((path) => path !== '');
/** Another one each day, so that days add up; a failure names it. */
const SEED = Math.floor(Date.now() / 86_400_000);

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

async function compare(runtime: string, texts: number, options: string[] = []) {
  const args = [PROGRAM, '--texts', `${texts}`, '--seed', `${SEED}`, ...options];
  const ended = await run(runtime, args, { limit: LIMIT });
  expect(ended).toMatchObject({ code: 0, err: '' });
  const sums = JSON.parse(ended.out);
  expect(sums).toMatchObject({ texts, seed: SEED });
  expect(sums.compared).toBeGreaterThan(2 * texts);
}

test('100,000 texts in memory', () => compare(process.execPath, 100_000), LIMIT);

test(
  'some of them on a server',
  () => compare(process.execPath, 5000, ['--redis', server.url]),
  LIMIT,
);

if (others.length > 0) {
  test.each(others)('some of them on %s', (runtime) => compare(runtime, 20_000), LIMIT);
}
