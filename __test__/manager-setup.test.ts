/** The manager: what it refuses, where its configuration comes from, and how it lives in a process. */

import type { EventBusManager, EventBusManagerOptions } from '..';
import { eventually } from './support/eventually';
import { collect, create, withManagers } from './support/managers';
import { rejection } from './support/rejection';
import { runScript, SOON_ENDED, withCopy } from './support/scripts';
import { Service } from './support/services';
import { keepingLogger } from './support/transports';

const clean = { code: 0, signal: null, err: '' };
const setup = withManagers();

test.each<[string, unknown, string]>([
  ['nothing', undefined, ''],
  ['no object', 'a', ''],
  ['an unknown key', { type: 'a', data: {} }, 'data'],
  ['a wrong user', { type: 'a', userId: 5 }, 'userId'],
  ['a wrong time', { type: 'a', timestamp: 'yesterday' }, 'timestamp'],
  ['no JSON', { type: 'a', metadata: { n: 1n } }, 'data.n'],
  ['no type', { metadata: {} }, 'type'],
  ['a wrong type', { type: 'a b' }, 'type'],
])('an event is refused: %s', async (_, event, path) => {
  const error = await rejection(create().publish(event as never));
  expect(error).toMatchObject({ category: 'validation', path });
  expect(error.stack?.split('\n')[1]).toContain('manager-setup.test.ts');
});

test.each<[string, (manager: EventBusManager) => Promise<unknown>, string]>([
  ['publish: an unknown option', (m) => m.publish({ type: 'a' }, { id: 'x' } as never), 'id'],
  ['publish: no flag', (m) => m.publish({ type: 'a' }, { localOnly: 1 } as never), 'localOnly'],
  [
    'publish: both sides alone',
    (m) => m.publish({ type: 'a' }, { localOnly: true, redisOnly: true }),
    'redisOnly',
  ],
  ['subscribe: no handler', (m) => m.subscribe('a', 5 as never), 'handler'],
  [
    'subscribe: no flag',
    (m) => m.subscribe('a', () => {}, { localOnly: 'x' as never }),
    'localOnly',
  ],
  ['subscribe: a batch', (m) => m.subscribe('a', () => {}, { batch: {} as never }), 'batch'],
  ['subscribe: an unknown option', (m) => m.subscribe('a', () => {}, { x: 1 } as never), 'x'],
  ['unsubscribe: no text', (m) => m.unsubscribe([5 as never]), 'ids'],
  ['shutdown: no time', (m) => m.shutdown({ timeout: -1 }), 'timeout'],
])('options are refused: %s', async (_, call, path) => {
  const error = await rejection(call(create()));
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
  expect(error.stack?.split('\n')[1]).toContain('manager-setup.test.ts');
});

test.each<[object, string]>([
  [{ statusInterval: -1 }, 'statusInterval'],
  [{ statusInterval: '5' }, 'statusInterval'],
  [{ statusEverywhere: 1 }, 'statusEverywhere'],
  [{ shutdownSignals: ['SIGKILL'] }, 'shutdownSignals[0]'],
  [{ unknown: 1 }, 'unknown'],
  [{ streams: [{ name: 's', events: '*' }] }, 'redis'],
])('a configuration is refused by the first use: %j', async (options, path) => {
  const manager = create(options as EventBusManagerOptions);
  expect(await rejection(manager.publish({ type: 'a' }))).toMatchObject({
    code: 'ERR_BUS_INVALID_CONFIG',
    path,
  });
  // And it may be put right.
  await manager.initialize({ mode: 'memory', logger: keepingLogger() });
  expect(await rejection(manager.initialize({}))).toMatchObject({
    code: 'ERR_BUS_INVALID_OPTIONS',
    path: 'options',
  });
  await manager.initialize();
});

describe('the environment', () => {
  const modeOf = async (options: EventBusManagerOptions = {}) => {
    const logger = keepingLogger();
    const manager = create({ logger, ...options });
    await manager.initialize();
    const lines = logger.lines.filter(({ message }) => message.startsWith('no Redis'));
    const reports = [await manager.healthCheck(), (await manager.getSystemStats()).health];
    const warnings = reports.map((report) => report.warnings.map(({ code }) => code));
    const inReports = warnings.map((codes) => codes.includes('MEMORY_MODE'));
    const { mode } = manager.client!.toJSON();
    return { mode, lines: lines.map(({ level }) => level), inReports };
  };
  const told = { mode: 'memory', lines: ['warn'], inReports: [true, true] };
  const silent = { lines: [], inReports: [false, false] };

  test('an address is Redis, none is memory, and one line says so', async () => {
    expect(await modeOf()).toEqual(told);
    process.env.REDIS_URL = setup.server.url;
    expect(await modeOf()).toEqual({ mode: 'hybrid', ...silent });
    process.env.ENABLE_REDIS_EVENTS = 'false';
    // It was asked for.
    expect(await modeOf()).toEqual({ mode: 'memory', ...silent });
    expect(await modeOf({ mode: 'memory' })).toEqual({ mode: 'memory', ...silent });
  });

  test('it works in production without an address, with a warning', async () => {
    process.env.NODE_ENV = 'production';
    expect(await modeOf()).toEqual(told);
  });

  test('SERVICE_NAME is the source', async () => {
    process.env.SERVICE_NAME = 'rishi';
    const manager = create();
    const { events, add } = collect();
    await manager.subscribe('a', add);
    await manager.publish({ type: 'a' });
    await eventually(() => events.length === 1);
    expect(events[0]?.source).toBe('rishi');
  });
});

describe('the process', () => {
  const env = { REDIS_URL: undefined, REDIS_HOST: undefined, NODE_ENV: undefined };

  test('importing opens nothing, and there is one manager whatever is loaded', async () => {
    await withCopy(async (entry) => {
      const code = `
        const copy = require(args[0]);
        console.log(copy.eventBusManager === oxbus.eventBusManager, oxbus.eventBusManager.client);`;
      const ended = await runScript(code, [entry], { env });
      expect(ended).toMatchObject({ ...clean, out: 'true null\n' });
    });
  });

  test('a script that has published ends by itself, and one that listens by shutdown', async () => {
    const published = await runScript(
      `await oxbus.eventBusManager.initialize({ logLevel: 'error' });
      await oxbus.eventBusManager.publish({ type: 'a' });
      console.log(Date.now());`,
      [],
      { env },
    );
    expect(published).toMatchObject(clean);
    expect(published.at - Number(published.out)).toBeLessThan(SOON_ENDED);
    const listening = await runScript(
      `const { eventBusManager } = oxbus;
      await eventBusManager.initialize({ logLevel: 'error', statusInterval: 1 });
      await eventBusManager.subscribe('*', () => {});
      await new Promise((resolve) => setTimeout(resolve, 20));
      await eventBusManager.shutdown();
      console.log(Date.now());`,
      [],
      { env },
    );
    expect(listening).toMatchObject(clean);
    expect(listening.at - Number(listening.out)).toBeLessThan(SOON_ENDED);
  });

  test('told to end: it says so, drains, and exits with 0', async () => {
    const watching = create({ redis: setup.server.url });
    const { types, add } = collect();
    await watching.subscribe('system.*', add);
    const told = new Service(
      `const { eventBusManager } = oxbus;
      setInterval(() => {}, 1000);
      await eventBusManager.initialize({ ...args, logLevel: 'error', shutdownSignals: true });
      await eventBusManager.subscribe('a', async () => {
        note('called');
        await new Promise((resolve) => setTimeout(resolve, 300));
        note('handled');
      });
      await eventBusManager.publish({ type: 'a' });`,
      { redis: setup.server.url, channelPrefix: setup.place.channelPrefix },
    );
    await told.first('called');
    told.signal('SIGTERM');
    expect(await told.ended).toEqual(clean);
    expect(told.notes('handled')).toHaveLength(1);
    await eventually(() => types().includes('system.shutdown'));
  });
});
