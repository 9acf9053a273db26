/** What the process sees: how long it lives, what is collected, and several copies of the package. */

import { EventBusError } from '..';
import { RedisServer } from './support/redis-server';
import { type Ended, runScript, SOON_ENDED, withCopy } from './support/scripts';

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** Runs with a client `bus` on each transport. */
const each = test.each([['memory'], ['redis']]);
const client = (transport: string) =>
  transport === 'redis'
    ? `const bus = new oxbus.EventBusClient({ redis: args[0], logLevel: 'error' });`
    : `const bus = new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error' });`;

const clean = { code: 0, signal: null, err: '' };
/** The script has nothing more to do. */
const done = `console.log(Date.now());`;

/** That it ended by itself, soon after `done`. */
function expectEnded(ended: Ended): void {
  expect(ended).toMatchObject(clean);
  expect(ended.out).toMatch(/^\d+\n$/);
  expect(ended.at - Number(ended.out)).toBeLessThan(SOON_ENDED);
}

each('a script that closes its client ends (%s)', async (transport) => {
  const code = `${client(transport)}
    await bus.subscribe('a', () => {});
    await bus.publish('a', 1);
    await bus.disconnect();
    ${done}`;
  expectEnded(await runScript(code, [server.url]));
});

each('a script that does not, but has no subscription, ends (%s)', async (transport) => {
  const code = `${client(transport)}
    await bus.connect();
    const sub = await bus.subscribe('a', () => {});
    await bus.publish('a', 1);
    await sub.unsubscribe();
    ${done}`;
  expectEnded(await runScript(code, [server.url]));
});

test('a script that only makes a client ends', async () => {
  expectEnded(await runScript(`${client('redis')} ${done}`, [server.url]));
});

each('an iterator keeps the process alive until it is left (%s)', async (transport) => {
  const code = `${client(transport)}
    const events = bus.events('a');
    await events.ready();
    setTimeout(() => bus.publish('a', 1), 50).unref();
    setInterval(() => {}, 10).unref();
    for await (const event of events) break;
    ${done}`;
  expectEnded(await runScript(code, [server.url]));
});

each('a script with a subscription lives until it ends (%s)', async (transport) => {
  const code = `${client(transport)}
    const sub = await bus.subscribe('a', async () => {
      console.log('handled');
      await sub.unsubscribe();
      console.log('over');
    });
    bus.publish('a', 1);`;
  expect(await runScript(code, [server.url])).toMatchObject({ ...clean, out: 'handled\nover\n' });
  const stays = `${client(transport)} await bus.subscribe('a', () => {}); console.log('listens');`;
  expect(await runScript(stays, [server.url], { stays: 1500 })).toMatchObject({
    ...{ out: 'listens\n', err: '', signal: 'SIGKILL' },
  });
});

test('a connection that is never made does not keep the process alive', async () => {
  const code = `const bus = new oxbus.EventBusClient({ redis: { port: 1, connectTimeout: 100 }, logLevel: 'error' });
    await bus.connect().catch((error) => console.log(error.code.startsWith('ERR_BUS_CONN')));`;
  expect(await runScript(code)).toMatchObject({ ...clean, out: 'true\n' });
});

each(
  'a client that is dropped is collected, and its sockets are closed (%s)',
  async (transport) => {
    const code = `
    const { readdirSync, readlinkSync } = require('node:fs');
    const links = () => process.platform !== 'linux' ? [] : readdirSync('/proc/self/fd').map((fd) => {
      try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; }
    });
    const sockets = () => links().filter((link) => link.startsWith('socket:')).length;
    const before = sockets();
    async function use() {
      ${client(transport)}
      await bus.connect();
      const sub = await bus.subscribe('a', () => {});
      await bus.publish('a', 1);
      await sub.unsubscribe();
      return new WeakRef(bus);
    }
    const dropped = await Promise.all(Array.from({ length: 5 }, use));
    const gone = () => dropped.every((bus) => bus.deref() === undefined) && sockets() === before;
    for (let n = 0; n < 1000 && !gone(); n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
    }
    console.log(gone());`;
    expect(await runScript(code, [server.url])).toMatchObject({ ...clean, out: 'true\n' });
  },
);

test('a failing handler never reaches the process', async () => {
  const code = `${client('memory')}
    process.on('uncaughtException', () => console.log('uncaught'));
    process.on('unhandledRejection', () => console.log('unhandled'));
    await bus.subscribe('a', () => { throw undefined; }, { retryOnError: false });
    await bus.subscribe('a', () => Promise.reject(), { retryOnError: false });
    await bus.publish('a', 1);
    while (bus.getStats().eventsFailed < 2) await new Promise((r) => setTimeout(r, 5));
    await bus.disconnect();
    console.log('done');`;
  const ended = await runScript(code);
  expect(ended).toMatchObject({ code: 0, out: 'done\n' });
});

test('what a handler throws outside of its call belongs to the process', async () => {
  const code = `${client('memory')}
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    await bus.subscribe('a', () => { process.nextTick(() => { throw new Error('mine'); }); });
    await bus.publish('a', 1);
    while (bus.getStats().eventsDelivered < 1) await new Promise((r) => setTimeout(r, 5));
    await bus.disconnect();
    console.log('done');`;
  expect(await runScript(code)).toMatchObject({ ...clean, out: 'uncaught mine\ndone\n' });
});

each('process.exit in the middle of everything (%s)', async (transport) => {
  const code = `${client(transport)}
    let handled = 0;
    await bus.subscribe('a', async () => { if (++handled === 100) process.exit(3); });
    for (;;) {
      await Promise.all(Array.from({ length: 50 }, () => bus.publish('a', 1)));
      await new Promise((resolve) => setImmediate(resolve));
    }`;
  expect(await runScript(code, [server.url])).toMatchObject({ code: 3, signal: null, err: '' });
});

test('the package loads again after a reset of the module registry', async () => {
  const first = require('..');
  jest.resetModules();
  const second = require('..');
  expect(second.EventBusClient).not.toBe(first.EventBusClient);
  const [a, b] = [first, second].map(
    ({ EventBusClient }) =>
      new EventBusClient({ mode: 'memory', memory: 'reset', logLevel: 'error' }),
  );
  const seen: unknown[] = [];
  await a.subscribe('x', (event: { data: unknown }) => seen.push(event.data));
  await b.publish('x', 1);
  const error = await b.publish('bad type', 1).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(EventBusError);
  expect(error).toBeInstanceOf(first.ValidationError);
  await Promise.all([a.disconnect(), b.disconnect()]);
  expect(seen).toEqual([1]);
});

test('a signal shared by many calls does not look like a leak', async () => {
  const code = `${client('memory')}
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 30 }, () => bus.connect({ signal })));
    await Promise.all(Array.from({ length: 30 }, () => bus.subscribe('a', () => {}, { signal })));
    await bus.disconnect();
    console.log(require('node:events').getEventListeners(signal, 'abort').length);`;
  expect(await runScript(code)).toMatchObject({ ...clean, out: '0\n' });
});

test('objects of another context are as good as our own', async () => {
  const code = `
    const context = require('node:vm').createContext({ oxbus, console, setTimeout });
    const inside = (code) => require('node:vm').runInContext(code, context);
    const bus = inside("new oxbus.EventBusClient({ mode: 'memory', redis: undefined, logLevel: 'error' })");
    const handler = inside('(event) => { console.log(JSON.stringify(event.data)); }');
    await bus.subscribe(inside("['a', 'b']"), handler, inside("({ filter: { 'data.n': [1] } })"));
    await bus.publish('a', inside('({ n: 1, at: new Date(0) })'), inside("({ metadata: { x: {} } })"));
    await bus.publishBatch(inside("[{ type: 'b', data: { n: 2 } }]"));
    const options = inside('({ signal: undefined, timeout: 5 })');
    await bus.connect(options);
    const error = await bus.publish('a', inside('({ b: 1n })')).catch((e) => e);
    console.log(error.code);
    await bus.disconnect();`;
  expect(await runScript(code)).toMatchObject({
    ...clean,
    out: '{"n":1,"at":"1970-01-01T00:00:00.000Z"}\nERR_BUS_INVALID_DATA\n',
  });
});

test('two copies of the package work side by side in one process', async () => {
  await withCopy(async (entry) => {
    const code = `
      const other = require(args[1]);
      console.log(other.EventBusClient !== oxbus.EventBusClient);
      const open = (copy) => new copy.EventBusClient({ redis: args[0], logLevel: 'error' });
      const [a, b] = [open(oxbus), open(other)];
      const seen = [];
      await Promise.all([a.subscribe('x', () => seen.push('a')), b.subscribe('x', () => seen.push('b'))]);
      await Promise.all([a.publish('x', 1), b.publish('x', 2)]);
      while (seen.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
      const error = await b.publish('bad type', 1).catch((e) => e);
      console.log(error instanceof oxbus.ValidationError, error instanceof oxbus.TimeoutError);
      await b.disconnect();
      await a.publish('x', 3);
      while (seen.length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
      await a.disconnect();
      console.log('done');`;
    const ended = await runScript(code, [server.url, entry]);
    expect(ended).toMatchObject({ ...clean, out: 'true\ntrue false\ndone\n' });
  });
});
