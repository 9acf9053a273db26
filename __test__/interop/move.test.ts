/** Three services on campaign's bus move to Oxbus one at a time, and back, while they publish: `npm run move` does it longer. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RedisServer } from '../support/redis-server';
import { runNode } from '../support/scripts';

const MODULE = pathToFileURL(join(__dirname, '..', '..', 'scripts', 'move', 'run.mjs')).href;
const LIMIT = 90_000;
const EACH_ONCE = { lost: 0, doubled: 0, strange: 0 };

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

test(
  'each live handler and each group gets every event once, over all steps there and back',
  async () => {
    const options = { redis: server.url, way: 'wires', rate: 300, rest: 1 };
    const program = `
      const { runMove } = await import(${JSON.stringify(MODULE)});
      const result = await runMove(${JSON.stringify(options)});
      process.stdout.write(JSON.stringify(result), () => process.exit());`;
    const ended = await runNode(['--input-type=module', '-e', program], { limit: LIMIT });
    expect([ended.code, ended.err]).toEqual([0, '']);
    const result = JSON.parse(ended.out);
    expect(result).toMatchObject({ moves: 18, failed: 0 });
    const heardBy = (service: string) => ({
      service,
      live: { ...EACH_ONCE, heard: result.live },
      group: { ...EACH_ONCE, heard: result.published },
    });
    const services = ['main-api', 'lifecycle-service', 'analytics-service'];
    expect(result.services).toEqual(services.map(heardBy));
    expect(result.live).toBeGreaterThan(100);
  },
  LIMIT + 5000,
);
