/** `npx oxbus tail --stream`: it waits in the server, so that what is stored is told at once and an idle one costs nothing. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { EventBusClient, type EventBusConfig } from '..';
import { cli } from './support/cli';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { Shop } from './support/shop';

let server: RedisServer;
let shop: Shop;
let control: Redis;

beforeEach(async () => {
  server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
  shop = await Shop.open(server.url);
  await shop.order(1, 0);
  control = new Redis(server.url);
  control.on('error', () => {});
});

afterEach(async () => {
  control?.disconnect();
  await shop?.close();
  await server?.stop();
});

const order = (id: string) => shop.bus.publish('order.paid', { account: 'a' }, { id });
const idsIn = (out: string) =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).id);
const numberIn = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
/** How long a connection has been blocked in `XREAD`, in s; it has sent nothing meanwhile. */
const waits = async () => numberIn(String(await control.client('LIST')), BLOCKED);
const BLOCKED = /idle=(\d+) flags=b [^\n]* cmd=xread /;
const reads = async () => numberIn(await control.info('commandstats'), /xrange:calls=(\d+)/);

test('it waits in the server, and asks for entries only when there is one', async () => {
  const ended = cli(server.url, ['tail', '--stream', 'orders', '--json', '-n', '2', '-q']);
  const isIdle = async () => expect(await waits()).toBeGreaterThan(0);
  await eventually(isIdle);
  await order('first');
  await eventually(async () => expect(await control.client('LIST')).toMatch(BLOCKED));
  const before = await reads();
  await eventually(isIdle);
  expect(await reads()).toBe(before);
  await order('second');
  const { out, err, code } = await ended;
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(idsIn(out)).toEqual(['first', 'second']);
});

test('a server that was away is waited for, and nothing is left out', async () => {
  const args = ['tail', '--stream', 'orders', '--from', 'beginning', '--json', '-n', '2'];
  const ended = cli(server.url, args, { limit: 30_000 });
  await eventually(async () => expect(await waits()).toBeGreaterThan(0));
  await server.kill();
  await eventually(() => expect(shop.bus.state).not.toBe('ready'));
  await server.restart();
  await eventually(() => order('after'), 10_000);
  const { out, code } = await ended;
  expect(code).toBe(0);
  expect(idsIn(out)).toEqual(['good-0', 'after']);
}, 40_000);

test('a user that may not use XREAD is served by looking now and then', async () => {
  await server.command('ACL SETUSER eye on >e ~* &* +@all -xread');
  const url = server.url.replace('//', '//eye:e@');
  const ended = cli(url, ['tail', '--stream', 'orders', '--json', '-n', '1', '-q']);
  const refused = async () =>
    numberIn(await control.info('commandstats'), /cmdstat_xread:[^\r]*rejected_calls=(\d+)/);
  await eventually(async () => expect(await refused()).toBeGreaterThan(1));
  await order('late');
  const { out, err, code } = await ended;
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(idsIn(out)).toEqual(['late']);
});

test('a stream whose key a format names is waited for by that key', async () => {
  const fields = { write: { id: 'id', type: 'type', body: 'data' } };
  const config: EventBusConfig = {
    streams: [{ name: 'notes', events: 'note.*' }],
    wire: { fields, keys: { stream: 'app:{stream}' } },
  };
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-tail-'));
  const bus = new EventBusClient({ redis: server.url, logLevel: 'silent', ...config });
  try {
    writeFileSync(join(folder, 'oxbus.config.json'), JSON.stringify(config));
    await bus.connect();
    const args = ['tail', '--stream', 'notes', '--json', '-n', '1', '-q'];
    const ended = cli(server.url, args, { cwd: folder, limit: 8000 });
    await eventually(async () => expect(await waits()).toBeGreaterThan(0));
    await bus.publish('note.taken', 1, { id: 'first' });
    const { out, err, code } = await ended;
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ id: 'first', stream: 'app:notes' });
  } finally {
    await bus.disconnect();
    rmSync(folder, { recursive: true });
  }
}, 20_000);
