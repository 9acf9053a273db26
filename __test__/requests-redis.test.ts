/** Requests and replies where there is a server: hybrid mode, other processes, crashes, lost connections, a Cluster. */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { EventBusClient, type EventBusConfig } from '..';
import { eventually, Gate } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

const NEVER = 3_000_000;
const ENTRY = join(__dirname, '..', 'index.js');

let server: RedisServer;
let clients: EventBusClient[] = [];
let children: ChildProcess[] = [];
let run = 0;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  run += 1;
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await Promise.all(clients.map((client) => client.disconnect({ timeout: 500 })));
  clients = [];
});

afterAll(() => server.stop());

function create(config: EventBusConfig = {}): EventBusClient {
  const own = { redis: server.url, channelPrefix: `test-${run}:` };
  const client = new EventBusClient({ logger: keepingLogger(), ...own, ...config });
  clients.push(client);
  return client;
}

/** A process that responds to `work`: with its pid, or to `hang` never. It tells of each request. */
async function responderProcess() {
  const config = { redis: server.url, channelPrefix: `test-${run}:`, logger: false };
  const code = `
    const { EventBusClient } = require(${JSON.stringify(ENTRY)});
    const bus = new EventBusClient(${JSON.stringify(config)});
    const handle = ({ data }) => {
      process.send('got');
      return data === 'hang' ? new Promise(() => {}) : process.pid;
    };
    bus.respond('work', handle).then(() => process.send('ready'));
    process.on('message', () => bus.disconnect().then(() => process.disconnect()));
  `;
  const child = spawn(process.execPath, ['-e', code], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  const told: unknown[] = [];
  child.on('message', (message) => told.push(message));
  await eventually(() => told.includes('ready'));
  return {
    pid: child.pid,
    got: () => told.filter((one) => one === 'got').length,
    leave: () => child.send('leave'),
    async kill() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
    ended: () => child.exitCode !== null,
  };
}

test('another process answers, and what it has begun is answered while it leaves', async () => {
  const asker = create();
  const process_ = await responderProcess();
  expect(await asker.request('work', 1)).toBe(process_.pid);
  const calls = Array.from({ length: 50 }, () => asker.request('work', 1));
  await eventually(() => process_.got() > 1);
  process_.leave();
  const ends = await Promise.all(calls.map((call) => call.catch((error) => error.code)));
  // It was the only one: what it had not begun with finds nobody.
  const known: unknown[] = [process_.pid, 'ERR_BUS_NO_RESPONDERS'];
  expect(ends.filter((end) => !known.includes(end))).toEqual([]);
  await eventually(process_.ended);
  expect(await rejection(asker.request('work', 1, { timeout: NEVER }))).toMatchObject({
    code: 'ERR_BUS_NO_RESPONDERS',
  });
});

test('a responder that is killed: what it had is out of time, and the next request goes to another', async () => {
  const asker = create();
  const process_ = await responderProcess();
  const call = rejection(asker.request('work', 'hang', { timeout: 5000 }));
  await eventually(() => process_.got() === 1);
  await process_.kill();
  const other = create();
  await other.respond('work', () => 'other');
  // It is still listed, and the server says that nobody hears it.
  expect(await asker.getRoomMembers('oxbus:responders:work')).toHaveLength(2);
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => asker.request('work', 1, { timeout: NEVER })),
  );
  expect(new Set(answers)).toEqual(new Set(['other']));
  expect(await call).toMatchObject({ code: 'ERR_BUS_REQUEST_TIMEOUT', outcome: 'unknown' });
});

test('one that was killed is asked at most once where a monitor hides that nobody hears it', async () => {
  const [asker, monitor, other] = [create(), create(), create()];
  await monitor.subscribe('*', () => {});
  const process_ = await responderProcess();
  await asker.request('work', 1);
  await process_.kill();
  await other.respond('work', () => 'other');
  const failures: unknown[] = [];
  for (let n = 0; n < 40; n += 1) {
    await asker.request('work', 1, { timeout: 3000 }).then(
      (answer) => expect(answer).toBe('other'),
      (error) => failures.push(error.code),
    );
  }
  expect(failures.length).toBeLessThanOrEqual(1);
  expect(failures.filter((code) => code !== 'ERR_BUS_REQUEST_TIMEOUT')).toEqual([]);
});

test('a client that closes hands its requests on, also where a monitor hears everything', async () => {
  const [asker, monitor, a, b] = [create(), create(), create(), create()];
  await monitor.subscribe('*', () => {});
  await a.respond('work', () => 'a');
  await b.respond('work', () => 'b');
  let closing: Promise<void> | undefined;
  const answers: unknown[] = [];
  const ask = () => Promise.all(Array.from({ length: 10 }, () => asker.request('work', null)));
  let isClosed = false;
  while (!isClosed) {
    answers.push(...(await ask()));
    if (answers.length > 50 && answers.includes('a')) {
      closing ??= a.disconnect().then(() => {
        isClosed = true;
      });
    }
  }
  await closing;
  expect(new Set(await ask())).toEqual(new Set(['b']));
});

test('Redis restarts: what was under way is out of time at most, and then all is as before', async () => {
  const own = await RedisServer.start();
  try {
    const [asker, bus] = [create({ redis: own.url }), create({ redis: own.url })];
    await bus.respond('work', ({ data }) => data);
    expect(await asker.request('work', 1)).toBe(1);
    await own.kill();
    const lost = await rejection(asker.request('work', 2, { timeout: 300 }));
    expect(['not_sent', 'unknown']).toContain(lost.outcome);
    await own.restart();
    // The responder registers again by itself: the server has forgotten everything.
    await eventually(async () => (await asker.request('work', 3, { timeout: 500 })) === 3, 20_000);
    expect(await asker.request('work', 4)).toBe(4);
  } finally {
    await own.stop();
  }
});

test('in hybrid mode a responder of the own client comes first, without the server', async () => {
  const own = await RedisServer.start();
  try {
    const [bus, other] = [
      create({ mode: 'hybrid', redis: own.url }),
      create({ mode: 'redis', redis: own.url }),
    ];
    await other.respond('work', () => 'other');
    await bus.subscribe('x', () => {});
    await bus.waitUntilReady();
    expect(await bus.request('work', null)).toBe('other');
    const aborted = new Gate();
    await bus.respond('work', ({ data }, { signal }) => {
      if (data === null) return 'own';
      signal.addEventListener('abort', () => aborted.open());
      return new Promise(() => {});
    });
    const answers = await Promise.all(Array.from({ length: 30 }, () => bus.request('work', null)));
    expect(new Set(answers)).toEqual(new Set(['own']));
    const all: unknown[] = [];
    for await (const { data } of bus.request('work', null, { all: true })) all.push(data);
    expect(all.sort()).toEqual(['other', 'own']);
    await own.kill();
    await eventually(() => bus.getStats().mode === 'local-only');
    expect(await bus.request('work', null)).toBe('own');
    const call = rejection(bus.request('work', 1, { timeout: 1000 }));
    expect(await call).toMatchObject({ code: 'ERR_BUS_REQUEST_TIMEOUT' });
    await aborted.opened;
  } finally {
    await own.stop();
  }
});

test('on a server of a Cluster an empty list is enough, and nobody who has left is asked', async () => {
  const own = await RedisServer.start('--cluster-enabled', 'yes');
  try {
    await own.command('CLUSTER ADDSLOTSRANGE 0 16383');
    await eventually(async () => (await own.command('CLUSTER INFO', 1)) === 'cluster_state:ok');
    const redis = { cluster: { nodes: [`127.0.0.1:${own.port}`] } };
    const [asker, bus, monitor] = [create({ redis }), create({ redis }), create({ redis })];
    await monitor.subscribe('*', () => {});
    expect(await rejection(asker.request('work', 1, { timeout: NEVER }))).toMatchObject({
      code: 'ERR_BUS_NO_RESPONDERS',
    });
    const responder = await bus.respond('work', ({ data }) => data);
    expect(await asker.request('work', 1)).toBe(1);
    await responder.unsubscribe();
    expect(await rejection(asker.request('work', 1, { timeout: NEVER }))).toMatchObject({
      code: 'ERR_BUS_NO_RESPONDERS',
    });
  } finally {
    await own.stop();
  }
});

test('a timeout says why there was no connection', async () => {
  const own = await RedisServer.start('--requirepass', 'secret');
  try {
    const wrong = create({ redis: `redis://:wrong@127.0.0.1:${own.port}` });
    const refused = await rejection(wrong.request('work', 1, { timeout: 2000 }));
    expect(refused).toMatchObject({
      code: 'ERR_BUS_REQUEST_TIMEOUT',
      outcome: 'not_sent',
      cause: { code: 'ERR_BUS_AUTH_FAILED' },
    });
    expect(refused.message).toContain('could be asked in 2000 ms: this client had no connection');
    expect(refused.message).toContain((refused.cause as Error).message);
    const answers = wrong.request('work', 1, { all: true, timeout: 1000 });
    expect(await rejection(answers.next())).toMatchObject({
      cause: { code: 'ERR_BUS_AUTH_FAILED' },
    });
  } finally {
    await own.stop();
  }
  const nobody = create({ redis: `redis://127.0.0.1:${own.port}` });
  const away = await rejection(nobody.request('work', 1, { timeout: 2000 }));
  expect(away.cause).toMatchObject({ name: 'ConnectionError' });
  // With a connection it says what it has always said.
  const [asker, bus] = [create(), create()];
  await bus.respond('work', () => new Promise(() => {}));
  const late = await rejection(asker.request('work', 1, { timeout: 1500 }));
  expect(late.message).toContain('has not answered in 1500 ms: it is busy');
  expect(late.cause).toBeUndefined();
});

test('an observer neither asks nor answers', async () => {
  const bus = create({ observe: true });
  const code = 'ERR_BUS_INVALID_OPTIONS';
  expect(await rejection(bus.request('work', 1))).toMatchObject({ code });
  expect(await rejection(bus.respond('work', () => 1))).toMatchObject({ code });
});

test('a client that has only asked does not keep its process alive, and one that responds does', async () => {
  const process_ = await responderProcess();
  const config = { redis: server.url, channelPrefix: `test-${run}:`, logger: false };
  const code = `
    const { EventBusClient } = require(${JSON.stringify(ENTRY)});
    new EventBusClient(${JSON.stringify(config)}).request('work', 1).then(console.log);
  `;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let out = '';
  child.stdout?.on('data', (text) => {
    out += text;
  });
  await eventually(() => child.exitCode === 0);
  expect(out).toBe(`${process_.pid}\n`);
  expect(process_.ended()).toBe(false);
});
