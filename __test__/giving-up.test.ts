/** What a process that is told to end waits for and gives up, and those who do not want to wait. */

import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { Service } from './support/services';

const LIMIT = 60_000;
/** The time of a drain. */
const DRAIN = 10_000;
const ended = { signal: null, err: '' };

afterEach(() => Service.endAll());

/** The lines of a client that closes, from a level upwards. */
const lines = `
  const log = (level) => (message, fields) => note('line', { level, message, fields });
  const logger = { debug() {}, info: log('info'), warn: log('warn'), error: log('error') };`;

/** A client with three handlers that never end. */
const stuck = `${lines}
    const bus = new oxbus.EventBusClient({ mode: 'memory', logger, shutdownSignals: true });
    const never = () => {
      note('called');
      return new Promise(() => {});
    };
    await bus.subscribe(['order.paid', 'mail.sent'], never, { timeout: 0 });
    for (const type of ['order.paid', 'order.paid', 'mail.sent']) {
      await bus.publish(type, { metadata: 1 });
    }`;
const HANDLERS = { 'order.paid': 2, 'mail.sent': 1 };

test.each<[NodeJS.Signals, NodeJS.Signals, number]>([
  ['SIGINT', 'SIGINT', 130],
  // A person presses Ctrl-C because a supervisor's SIGTERM takes too long.
  ['SIGTERM', 'SIGINT', 130],
])('%s, and %s a second later: the process ends at once', async (first, again, code) => {
  const told = new Service(stuck, {});
  await eventually(() => told.notes('called').length === 3);
  told.signal(first);
  const waiting = await eventually(
    () => told.notes('line').find(({ message }) => message.startsWith('closing: ')) ?? false,
  );
  // It comes a second after the first signal.
  expect(waiting).toMatchObject({
    level: 'info',
    message: 'closing: waiting for 2 handlers of "order.paid", 1 handler of "mail.sent"',
    fields: { handlers: HANDLERS },
  });
  const at = Date.now();
  told.signal(again);
  expect(await told.ended).toEqual({ ...ended, code });
  expect(Date.now() - at).toBeLessThan(DRAIN / 2);
  expect(told.notes('line').at(-1)).toMatchObject({
    level: 'warn',
    message:
      'the process ends before all was done: gave up 2 handlers of "order.paid", 1 handler of "mail.sent"',
    fields: { handlers: HANDLERS },
  });
});

test('the manager says what it gives up as well', async () => {
  const told = new Service(
    `${lines}
    const manager = new oxbus.EventBusManager({
      mode: 'memory', logger, shutdownSignals: true, statusInterval: 0,
    });
    await manager.subscribe('a', () => {
      note('called');
      return new Promise(() => {});
    }, { timeout: 0 });
    await manager.publish({ type: 'a', metadata: {} });`,
    {},
  );
  await told.first('called');
  told.signal('SIGINT');
  await eventually(() => told.notes('line').some(({ message }) => message.startsWith('closing: ')));
  told.signal('SIGINT');
  expect(await told.ended).toEqual({ ...ended, code: 130 });
  expect(told.notes('line').at(-1)?.fields).toMatchObject({ handlers: { a: 1 } });
});

test('where another listener decides, a second signal ends nothing', async () => {
  const told = new Service(
    `const bus = new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error', shutdownSignals: true });
    process.on('SIGINT', () => note('told'));
    await bus.subscribe('a', async () => {
      note('called');
      while (!require('node:fs').existsSync('go on')) await new Promise((resolve) => setTimeout(resolve, 5));
      note('handled');
    }, { timeout: 0 });
    bus.on('closed', () => process.exit(4));
    await bus.publish('a', 1);`,
    {},
  );
  await told.first('called');
  told.signal('SIGINT');
  const first = await told.first('told');
  await eventually(() => Date.now() - first.at > 1100);
  told.signal('SIGINT');
  await eventually(() => told.notes('told').length === 2);
  told.tell('go on');
  expect(await told.ended).toMatchObject({ code: 4, signal: null });
  expect(told.notes('handled')).toHaveLength(1);
});

test(
  'what the server does not take is given up, and told',
  async () => {
    const own = await RedisServer.start();
    try {
      const told = new Service(
        `${lines}
        const bus = new oxbus.EventBusClient({
          redis: { url: args.url, commandTimeout: 60_000 }, logger, shutdownSignals: true,
        });
        await bus.connect();
        note('ready');
        const { existsSync } = require('node:fs');
        while (!existsSync('publish')) await new Promise((resolve) => setTimeout(resolve, 5));
        for (let n = 0; n < 3; n += 1) bus.publish('a', n).catch(({ code, outcome }) => note('failed', { code, outcome }));
        await new Promise((resolve) => setTimeout(resolve, 20));
        note('published');`,
        { url: own.url },
      );
      await told.first('ready');
      own.freeze();
      told.tell('publish');
      await told.first('published');
      told.signal('SIGTERM');
      expect(await told.ended).toEqual({ ...ended, code: 1 });
      expect(told.notes('failed')).toHaveLength(3);
      const about = told.notes('line').filter(({ fields }) => fields.publishes !== undefined);
      expect(about).toMatchObject([
        { level: 'info', message: 'closing: waiting for 3 publishes', fields: { publishes: 3 } },
        { level: 'warn', fields: { publishes: 3 } },
      ]);
      expect(about[1]?.message).toMatch(
        /^the client was closed before all was done: gave up 3 publishes$/,
      );
    } finally {
      own.thaw();
      await own.stop();
    }
  },
  LIMIT,
);
