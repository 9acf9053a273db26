/** `npx oxbus` on a Cluster of three masters. */

import { EventBusClient } from '../index.js';
import { cli, rows } from './support/cli';
import { ClusterSet } from './support/cluster-set';
import { eventually } from './support/eventually';
import { Shop } from './support/shop';

let set: ClusterSet;
let shop: Shop;
let nodes: string[];

beforeAll(async () => {
  set = await ClusterSet.start();
  nodes = set.nodes.slice(0, 3).map(({ port }) => `127.0.0.1:${port}`);
  shop = await Shop.open({ cluster: { nodes } });
  await shop.order(2, 2);
}, 60_000);

afterAll(async () => {
  await shop?.close();
  await set?.stop();
});

const run = (...args: string[]) => cli(undefined, [...args, '--cluster', nodes.join(',')]);

test('every command that asks about streams', async () => {
  expect(rows(await run('streams', '--json'))).toMatchObject([
    { name: 'orders', length: 4, deadLetters: 2 },
  ]);
  expect(rows(await run('groups', '--json'))).toMatchObject([
    { name: 'billing' },
    { name: 'mailing', lag: 4 },
  ]);
  expect(rows(await run('consumers', 'orders', '--json'))).toMatchObject([{ name: 'billing-1' }]);
  expect(await run('pending', 'orders')).toMatchObject({ code: 0, err: 'nothing is pending\n' });
  expect(rows(await run('history', '--json'))).toHaveLength(4);
  expect(rows(await run('tail', '--stream', 'orders', '--no-follow', '--json'))).toHaveLength(4);
});

test('publishing, dead letters, replays and trimming', async () => {
  const published = await run('publish', 'order.paid', '{"account":"a"}', '--json');
  expect(rows(published)).toMatchObject([{ stream: 'orders' }]);
  const [first] = rows(await run('dlq', 'list', '--json'));
  expect((await run('dlq', 'show', String(first?.id))).out).toContain('no such account');
  shop.isBroken = false;
  await shop.settled();
  const before = shop.handled;
  expect(rows(await run('dlq', 'replay', '--all', '--yes', '--json'))).toMatchObject([
    { replayed: 2 },
  ]);
  await eventually(() => expect(shop.handled).toBeGreaterThanOrEqual(before + 2));
  const again = await run(
    'replay',
    'orders',
    'billing',
    '--from',
    'beginning',
    '-n',
    '1',
    '--yes',
    '--json',
  );
  expect(rows(again)).toMatchObject([{ replayed: 1 }]);
  expect((await run('groups', 'move', 'orders', 'mailing', '--to', 'new', '--yes')).code).toBe(0);
  expect((await run('trim', 'orders', '--max-length', '1', '--yes')).code).toBe(0);
  expect((await run('dlq', 'purge', 'orders', '--yes')).code).toBe(0);
});

test('live events, wherever they are published', async () => {
  const heard = run('tail', 'ping', '--json', '-n', '1');
  let isOver = false;
  const ended = heard.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await shop.bus.publish('ping', 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(rows(await ended)).toMatchObject([{ type: 'ping', data: 1 }]);
});

test('doctor looks at every master, and finds keys from whichever node it asks', async () => {
  for (const node of nodes) {
    const args = ['doctor', '--seconds', '0.2', '--json', '-q', '--cluster', node];
    const found = rows(await cli(undefined, args));
    expect(found.filter(({ code }) => code === 'SERVER')).toHaveLength(3);
    expect(found).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ code: 'GROUP_WITHOUT_CONSUMERS', subject: 'orders mailing' }),
      ]),
    );
    expect(found.filter(({ code }) => code === 'REGISTRY_UNREAD')).toEqual([]);
  }
});

test('doctor hears the lanes of sharded pub/sub, of which every master has some', async () => {
  const prefix = 'lanes:';
  const bus = new EventBusClient({
    redis: { cluster: { nodes, pubsub: 'sharded', lanes: 8 } },
    channelPrefix: prefix,
    logLevel: 'silent',
  });
  await bus.connect();
  const types = Array.from({ length: 12 }, (_, n) => `ping.${n}`);
  const looked = run('doctor', '--seconds', '1.5', '--json', '-q', '--prefix', prefix);
  let isOver = false;
  const ended = looked.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await Promise.all(types.map((type) => bus.publish(type, { grüße: 'é' })));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const found = rows(await ended);
  await bus.disconnect();
  expect(found.find(({ code }) => code === 'HEARD')?.message).toMatch(
    / by PUBLISH and on 8 lanes$/,
  );
  expect(found.find(({ code }) => code === 'NOT_HEARD')).toBeUndefined();
  // Twelve channels of one format share a finding.
  const format = found.find(({ code, subject }) => code === 'FORMAT' && subject === '12 channels');
  expect(format?.message).toMatch(/lanes:ping\.\d+, .* messages of Oxbus$/);
  const cluster = { nodes, pubsub: 'sharded', lanes: 8 };
  expect(found.at(-1)?.config).toMatchObject({ redis: { cluster }, channelPrefix: prefix });
});

test('bench', async () => {
  expect(await run('bench', '--seconds', '0.1', '--json', '-q')).toMatchObject({
    code: 0,
    err: '',
  });
});
