/** Events where code may not be generated from strings, such as in hardened processes. */

import { runDecoding } from './support/decoding-script';
import { RedisServer } from './support/redis-server';

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

test.each([['memory'], ['redis']])('they come as anywhere else (%s)', async (transport) => {
  const code = `
    let generated = true;
    try { new Function(''); } catch { generated = false; }
    const streams = [{ name: 's', events: 'text' }];
    const bus = open({ ...args[0], streams });
    const ways = [[], [], [], [], []];
    await bus.subscribe('text', (event) => ways[0].push(event.data));
    await bus.subscribe('text', (event) => ways[1].push(event.data), { group: 'one' });
    await bus.subscribe('text', (events) => ways[2].push(...events.map(({ data }) => data)),
      { group: 'many', batch: { size: 3, wait: 10 } });
    const texts = ['{"id":"same","n":-0}', '[{"a":1},{"a":"same"}]', '"\\\\ud800"', 'null'];
    const all = Array.from({ length: 10 }, () => texts).flat();
    for (const one of all) await bus.publish('text', oxbus.rawJson(one));
    await until(() => ways.slice(0, 3).every((way) => way.length === all.length));
    await bus.replay({ pattern: 'text', handler: ({ data }) => ways[3].push(data) });
    for (const { data } of await bus.getHistory()) ways[4].push(data);
    const different = ways.flatMap((way) =>
      way.map((data, index) => difference(data, JSON.parse(all[index]))));
    await bus.disconnect();
    const whole = ways.every((way) => way.length === all.length);
    console.log(JSON.stringify({ generated, whole, different: different.filter(Boolean) }));`;
  const config = transport === 'redis' ? { mode: 'redis', redis: server.url } : {};
  const flags = ['--disallow-code-generation-from-strings'];
  const seen = await runDecoding(code, [config], { flags });
  expect(seen).toEqual({ generated: false, whole: true, different: [] });
});
