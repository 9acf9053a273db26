/** Every example runs to its end, in memory and on a Redis. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RedisServer } from './support/redis-server';
import { runNode } from './support/scripts';

const ROOT = join(__dirname, '..');
const LIMIT = 20_000;
const examples = readdirSync(join(ROOT, 'examples')).filter((name) => /^\d\d-.*\.mjs$/.test(name));

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** The environment of an example: nothing of ours but, for Redis, the address. */
const environment = (transport: string) =>
  transport === 'redis' ? { REDIS_URL: server.url } : { REDIS_URL: undefined };

describe.each(['memory', 'redis'])('%s', (transport) => {
  test.each(examples)(
    '%s',
    async (name) => {
      const ended = await runNode([join('examples', name)], {
        limit: LIMIT,
        cwd: ROOT,
        env: environment(transport),
      });
      expect(ended).toMatchObject({ code: 0, signal: null });
      expect(ended.out.trimEnd().split('\n').at(-1)).toBe('ok');
    },
    LIMIT + 1000,
  );

  test(
    'quickstart',
    async () => {
      const ended = await runNode([join('examples', 'quickstart', 'main.mjs')], {
        limit: LIMIT,
        cwd: ROOT,
        env: { ...environment(transport), QUICKSTART_MS: '200' },
      });
      expect(ended).toMatchObject({ code: 0, signal: null });
    },
    LIMIT + 1000,
  );
});

test('the examples are numbered without a hole', () => {
  expect(examples.length).toBeGreaterThan(0);
  examples.forEach((name, index) => {
    expect(Number(name.slice(0, 2))).toBe(index + 1);
  });
});
