/** `shutdownSignals`: real processes that are told to end. */

import { EventBusClient, type StreamConfig } from '..';
import { isDone, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { runScript, withCopy } from './support/scripts';
import { Service } from './support/services';
import { keepingLogger } from './support/transports';

const LIMIT = 60_000;
/** That of a drain, and what the process may take beside it. */
const DRAIN = 10_000;
const SPARE = 500;
const clean = { code: 0, signal: null, err: '' };

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(() => Service.endAll());

afterAll(() => server.stop());

const CLIENT = {
  memory: `{ mode: 'memory', logLevel: 'error', shutdownSignals: args.signals }`,
  redis: `{ redis: args.url, logLevel: 'error', shutdownSignals: args.signals }`,
};

/** A service with a client `bus`; the interval stands for a server that keeps the process alive. */
function service(
  code: string,
  { signals = true as unknown, transport = 'memory' as keyof typeof CLIENT } = {},
): Service {
  const prelude = `
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    setInterval(() => {}, 1000);
    const bus = new oxbus.EventBusClient(${CLIENT[transport]});
    bus.on('closed', () => note('closed'));`;
  return new Service(`${prelude}${code}`, { url: server.url, signals });
}

describe.each<keyof typeof CLIENT>(['memory', 'redis'])('%s', (transport) => {
  test('the running handler finishes, and the process exits with 0', async () => {
    const told = service(
      `await bus.subscribe('a', async () => {
        note('called');
        await pause(500);
        note('handled');
      });
      await bus.publish('a', 1);`,
      { transport },
    );
    await told.first('called');
    told.signal('SIGTERM');
    expect(await told.ended).toEqual(clean);
    expect(told.notes().map(({ kind }) => kind)).toEqual([
      'started',
      'called',
      'handled',
      'closed',
    ]);
  });
});

test('without the option a signal ends the process as ever', async () => {
  const told = service(`await bus.connect(); note('ready');`, { signals: false });
  await told.first('ready');
  told.signal('SIGTERM');
  expect(await told.ended).toEqual({ code: null, signal: 'SIGTERM', err: '' });
});

test('only the signals that were asked for', async () => {
  const told = service(`await bus.connect(); note('ready');`, { signals: ['SIGHUP'] });
  await told.first('ready');
  told.signal('SIGHUP');
  expect(await told.ended).toEqual(clean);
  const other = service(`await bus.connect(); note('ready');`, { signals: ['SIGHUP'] });
  await other.first('ready');
  other.signal('SIGINT');
  expect(await other.ended).toMatchObject({ signal: 'SIGINT' });
});

test('an exit code that was set stays', async () => {
  const told = service(`await bus.connect(); process.exitCode = 7; note('ready');`);
  await told.first('ready');
  told.signal('SIGINT');
  expect(await told.ended).toMatchObject({ code: 7, signal: null });
});

test('the same signal again, and another one, disturb no drain', async () => {
  const told = service(`
    await bus.subscribe('a', async () => {
      note('called');
      await pause(700);
      note('handled');
    });
    await bus.publish('a', 1);`);
  await told.first('called');
  for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) {
    told.signal(signal);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await told.ended).toEqual(clean);
  expect(told.notes('handled')).toHaveLength(1);
});

test.each([
  ['on', `process.on('SIGTERM', `],
  ['once', `process.once('SIGTERM', `],
])('another listener (%s) decides when the process ends', async (_, listen) => {
  const told = service(`
    ${listen} async () => {
      note('told');
      while (bus.state !== 'closed') await pause(5);
      // Long after the bus has closed.
      await pause(300);
      note('leaving', { listeners: process.listenerCount('SIGTERM') });
      process.exit(5);
    });
    await bus.connect();
    note('ready');`);
  await told.first('ready');
  told.signal('SIGTERM');
  expect(await told.ended).toMatchObject({ code: 5, signal: null });
  expect(told.notes().map(({ kind }) => kind)).toEqual([
    'started',
    'ready',
    'told',
    'closed',
    'leaving',
  ]);
  expect(told.notes('leaving')).toMatchObject([{ listeners: listen.includes('once') ? 0 : 1 }]);
});

test('many clients share one listener, which goes with the last of them', async () => {
  const told = service(`
    const count = () => ['SIGTERM', 'SIGINT'].map((signal) => process.listenerCount(signal));
    note('before', { count: count() });
    const others = Array.from({ length: 20 }, () => new oxbus.EventBusClient(${CLIENT.memory}));
    await Promise.all([bus, ...others].map((client) => client.connect()));
    note('open', { count: count() });
    await Promise.all(others.map((client) => client.disconnect()));
    note('one left', { count: count() });
    await bus.disconnect();
    note('none left', { count: count() });`);
  await told.first('none left');
  const counts = ['before', 'open', 'one left', 'none left'].map(
    (kind) => told.notes(kind)[0]?.count,
  );
  expect(counts).toEqual([
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  told.signal('SIGTERM');
  expect(await told.ended).toMatchObject({ code: null, signal: 'SIGTERM' });
});

test('every client drains before the process exits', async () => {
  const told = service(`
    const open = (name, ms) => {
      const client = new oxbus.EventBusClient(${CLIENT.memory});
      client.on('closed', () => note('closed', { name }));
      return client.subscribe('a', async () => {
        note('called');
        await pause(ms);
      });
    };
    await Promise.all([open('fast', 1), open('slow', 600)]);
    await bus.publish('a', 1);`);
  await eventually(() => told.notes('called').length === 2);
  told.signal('SIGTERM');
  expect(await told.ended).toEqual(clean);
  expect(told.notes('closed').map(({ name }) => name ?? 'bus')).toEqual(
    expect.arrayContaining(['fast', 'slow', 'bus']),
  );
});

test(
  'a handler that never ends holds the process for the time of a drain at the most',
  async () => {
    const told = service(
      `await bus.subscribe('a', () => {
        note('called');
        return new Promise(() => {});
      }, { timeout: 0 });
      await bus.publish('a', 1);`,
      { transport: 'redis' },
    );
    await told.first('called');
    const at = Date.now();
    told.signal('SIGTERM');
    // Its event is given up.
    expect(await told.ended).toEqual({ ...clean, code: 1 });
    expect(Date.now() - at).toBeLessThan(DRAIN + SPARE);
    expect(Date.now() - at).toBeGreaterThan(DRAIN - SPARE);
  },
  LIMIT,
);

test('two copies of the package agree on who ends the process', async () => {
  await withCopy(async (entry) => {
    const told = service(`
      const copy = require(${JSON.stringify(entry)});
      const other = new copy.EventBusClient(${CLIENT.memory});
      other.on('closed', () => note('closed'));
      await Promise.all([bus.connect(), other.connect()]);
      note('ready', { listeners: process.listenerCount('SIGTERM') });`);
    expect(await told.first('ready')).toMatchObject({ listeners: 1 });
    told.signal('SIGTERM');
    expect(await told.ended).toEqual(clean);
    expect(told.notes('closed')).toHaveLength(2);
  });
});

test('a client that is dropped is collected, and its listener with it', async () => {
  const code = `
    let bus = new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error', shutdownSignals: true });
    await bus.connect();
    const weak = new WeakRef(bus);
    bus = undefined;
    const end = Date.now() + 5000;
    while (process.listenerCount('SIGTERM') > 0 && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
    }
    console.log(process.listenerCount('SIGTERM'), weak.deref() === undefined);`;
  expect(await runScript(code)).toMatchObject({ ...clean, out: '0 true\n' });
});

test('the option alone keeps no process alive, and process.exit is not in its way', async () => {
  const open = `
    const bus = new oxbus.EventBusClient({ redis: args[0], logLevel: 'error', shutdownSignals: true });
    await bus.connect();`;
  expect(await runScript(open, [server.url])).toMatchObject(clean);
  const leaving = `${open}
    await bus.subscribe('*', () => process.exit(3));
    for (;;) await bus.publish('a', 1);`;
  expect(await runScript(leaving, [server.url])).toMatchObject({ ...clean, code: 3 });
});

describe('durable', () => {
  let stream: StreamConfig;
  let bus: EventBusClient;

  beforeEach(async () => {
    stream = streamFor('*', { consumerGroups: ['g'] });
    bus = new EventBusClient({ redis: server.url, streams: [stream], logger: keepingLogger() });
    await bus.connect();
  });

  afterEach(() => bus.disconnect());

  /** A member of the group that handles one event at a time. */
  const consumer = (handler: string, options: object = {}) =>
    new Service(
      `const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      setInterval(() => {}, 1000);
      const bus = new oxbus.EventBusClient({
        redis: args.url, streams: [args.stream], lease: 30_000, logLevel: 'error', shutdownSignals: true,
      });
      await bus.subscribe('*', async ({ data }) => {
        note('called', { data });
        ${handler}
        note('handled', { data });
      }, { group: 'g', ...args.options });
      note('ready');`,
      { url: server.url, stream, options },
    );

  test(
    'it starts nothing more, acknowledges what runs and leaves the rest to others',
    async () => {
      const told = consumer('await pause(1500);', { concurrency: 1 });
      await told.first('ready');
      for (let n = 0; n < 5; n += 1) await bus.publish('n', n);
      await told.first('called');
      const heir = consumer('', {});
      await heir.first('ready');
      const at = Date.now();
      told.signal('SIGTERM');
      expect(await told.ended).toEqual(clean);
      expect(Date.now() - at).toBeLessThan(DRAIN + SPARE);
      expect(told.notes('called').map(({ data }) => data)).toEqual([0]);
      expect(told.notes('handled').map(({ data }) => data)).toEqual([0]);
      await eventually(() => isDone(bus, stream.name, 'g'));
      const others = heir.notes('handled').map(({ data }) => data);
      expect(others.sort()).toEqual([1, 2, 3, 4]);
      // Handed over, and not waited for until the lease had passed.
      const last = Math.max(...heir.notes('handled').map((note) => note.at));
      expect(last - at).toBeLessThan(DRAIN);
    },
    LIMIT,
  );

  test(
    'three consumers, restarted one after the other fifty times: nothing is lost',
    async () => {
      const start = () => consumer('await pause(data % 20);');
      const places = [start(), start(), start()];
      const all = [...places];
      await Promise.all(places.map((place) => place.first('ready')));
      let published = 0;
      let flowing = true;
      const flow = (async () => {
        while (flowing) {
          await bus.publish('n', published);
          published += 1;
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      })();
      for (let turn = 0; turn < 50; turn += 1) {
        const place = places[turn % 3] as Service;
        place.signal('SIGTERM');
        expect(await place.ended).toEqual(clean);
        const next = start();
        places[turn % 3] = next;
        all.push(next);
        await next.first('ready');
      }
      flowing = false;
      await flow;
      await eventually(() => isDone(bus, stream.name, 'g'), 20_000);
      const handled = new Set(all.flatMap((one) => one.notes('handled')).map(({ data }) => data));
      expect(handled.size).toBe(published);
      expect(published).toBeGreaterThan(500);
      expect(await bus.deadLetters.count()).toBe(0);
    },
    2 * LIMIT,
  );
});
