/** That the benchmarks measure what their README says: what the payloads are, how far the flood is ahead, and that a case runs. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RedisServer } from './support/redis-server';
import { runNode } from './support/scripts';

const FOLDER = `${pathToFileURL(join(__dirname, '..', 'benchmark')).href}/`;

/** Runs a module, with `load` to import one of the benchmarks, and gives what it returns. */
async function inModule<T>(code: string, limit = 14_000): Promise<T> {
  const program = `
    const load = (path) => import(${JSON.stringify(FOLDER)} + path);
    const result = await (async () => {${code}})();
    process.stdout.write(JSON.stringify(result), () => process.exit());`;
  const ended = await runNode(['--input-type=module', '-e', program], { limit });
  expect(ended).toMatchObject({ code: 0, err: '' });
  return JSON.parse(ended.out);
}

test('payloads are as large, and of as many shapes, as the README says', async () => {
  const payloads = await inModule(`
    const { payloads } = await load('support/payloads.mjs');
    const names = ['small', 'medium', 'github', 'shapes2000', 'adversarial'];
    return Object.fromEntries(names.map((name) => {
      const all = payloads(name);
      const sizes = all.map((data) => Buffer.byteLength(JSON.stringify(data)));
      const mean = Math.round(sizes.reduce((sum, size) => sum + size, 0) / all.length);
      const shapes = new Set(all.map((data) => JSON.stringify(Object.keys(data)))).size;
      return [name, { count: all.length, mean, least: Math.min(...sizes), most: Math.max(...sizes), shapes }];
    }));
  `);
  expect(payloads).toMatchObject({
    small: { count: 1, mean: 320 },
    medium: { count: 1, mean: 2818 },
    github: { count: 329, mean: 9887, least: 915, most: 26_935 },
    shapes2000: { count: 2000, mean: 268, least: 116, most: 411, shapes: 2000 },
    adversarial: { count: 1, mean: 308 },
  });
});

test('events with adversarial keys have sixteen keys each that no event before had', async () => {
  const { lists, sizes, count } = await inModule<{
    lists: string[];
    sizes: number[];
    count: number;
  }>(`
    const { textsOf } = await load('support/events.mjs');
    const next = textsOf('adversarial', 256);
    const texts = Array.from({ length: 8 }, next).flat();
    const data = texts.map((text) => JSON.stringify(JSON.parse(text).data));
    const lists = data.map((text) => text.match(/"[a-zA-F]{8}":/g).join());
    return { lists, sizes: [...new Set(data.map(({ length }) => length))], count: texts.length };
  `);
  expect(count).toBe(2048);
  expect(sizes).toEqual([308]);
  expect(new Set(lists.map((list) => list.split(',').length))).toEqual(new Set([16]));
  // Two equal keys of 40 random bits can come; two equal lists cannot.
  expect(new Set(lists).size).toBe(count);
});

test.each([
  // Its last burst is shorter than the others.
  ['shapes2000', 2100],
  ['adversarial', 300],
])('the flood of %s is ahead by exactly what it is told', async (payload, window) => {
  const seen = await inModule<{ first: number; second: number; fresh: boolean }>(`
    const { startProcess } = await load('support/process.mjs');
    const { createServer, connect } = await import('node:net');
    const { once } = await import('node:events');
    let text = '';
    const server = createServer((socket) => {
      socket.setEncoding('utf8').on('data', (part) => { text += part; });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const flood = startProcess('./flood.mjs', [server.address().port, '${payload}', ${window}]);
    const { port } = await flood.next('listening');
    const published = () => text.split('*3\\r\\n$7\\r\\nPUBLISH\\r\\n').length - 1;
    // What it has sent when so many have arrived.
    const sent = async (least) => {
      flood.send({ kind: 'start' });
      while (published() < least) await new Promise(setImmediate);
      flood.send({ kind: 'stop' });
      const { sent } = await flood.next('sent');
      while (published() < sent || !text.endsWith('}}\\r\\n')) await new Promise(setImmediate);
      return sent;
    };
    const first = await sent(${window});
    const credits = connect(port, '127.0.0.1');
    await once(credits, 'connect');
    credits.write(Buffer.from([1]));
    const second = await sent(${window} + 256);
    await flood.stop();
    const keys = text.match(/"data":{"[^"]*"/g);
    return { first, second, fresh: new Set(keys).size === second };
  `);
  expect(seen).toEqual({
    first: window,
    second: window + 256,
    fresh: payload === 'adversarial',
  });
});

test.each([
  ['receive', 'shapes2000'],
  ['shapes', 'small'],
  ['shapes', 'adversarial'],
])('%s measures %s events', async (question, payload) => {
  const server = await RedisServer.start();
  try {
    const result = await inModule<{
      failures: object;
      contestants: { name: string; metrics: Record<string, { median: number }> }[];
      metrics: string[];
    }>(`
      const { runCase } = await load('support/rounds.mjs');
      const benchmark = await load('${question}.mjs');
      const definition = benchmark.cases.find(({ payload }) => payload === '${payload}');
      const url = new URL(${JSON.stringify(server.url)});
      const result = await runCase(benchmark, definition, {
        ...{ rounds: 1, duration: 200, warmUp: 100, only: ['oxbus', 'floor'], say: () => {} },
        server: { url: url.href, port: Number(url.port) },
      });
      return { ...result, metrics: benchmark.metrics.map(({ key }) => key) };
    `);
    expect(result.failures).toEqual({});
    expect(result.contestants.map(({ name }) => name)).toEqual(['oxbus', 'floor']);
    for (const { metrics } of result.contestants) {
      for (const key of result.metrics.filter((key) => key !== 'lost')) {
        expect(metrics[key]?.median).toBeGreaterThan(0);
      }
    }
  } finally {
    await server.stop();
  }
});

test('cluster measures each of its cases, and loses nothing', async () => {
  const server = await RedisServer.start();
  try {
    const results = await inModule<
      {
        failures: object;
        contestants: { name: string; metrics: Record<string, { median: number }> }[];
        metrics: string[];
      }[]
    >(
      `
      const { metricsOf, runCase } = await load('support/rounds.mjs');
      const benchmark = await load('cluster.mjs');
      const url = ${JSON.stringify(server.url)};
      const context = {
        ...{ rounds: 1, duration: 200, warmUp: 100, only: ['oxbus', 'oxbus-one-node'], say: () => {} },
        server: { url, port: Number(new URL(url).port) },
      };
      const results = [];
      for (const definition of benchmark.cases) {
        // A rate at which nothing has to wait on a busy machine.
        const slow = definition.rate ? { ...definition, rate: 2000 } : definition;
        const result = await runCase(benchmark, slow, context);
        results.push({ ...result, metrics: metricsOf(benchmark, definition).map(({ key }) => key) });
      }
      await benchmark.end();
      return results;
    `,
      80_000,
    );
    for (const { failures, contestants, metrics } of results) {
      expect(failures).toEqual({});
      expect(contestants[0]?.name).toBe('oxbus');
      for (const key of metrics) {
        const median = contestants[0]?.metrics[key]?.median;
        if (['lost', 'late'].includes(key)) expect(median).toBe(0);
        if (['rate', 'cpu', 'moving'].includes(key)) expect(median).toBeGreaterThan(0);
      }
    }
    expect(results).toHaveLength(8);
  } finally {
    await server.stop();
  }
}, 90_000);
