/** `npx oxbus` as a user sees it: every command, piped and on a terminal. */

import { Redis } from 'ioredis';
import { cli, onTerminal, rows } from './support/cli';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { Shop } from './support/shop';

let server: RedisServer;
let shop: Shop;

beforeAll(async () => {
  server = await RedisServer.start();
  shop = await Shop.open(server.url);
  await shop.order(3, 2);
});

afterAll(async () => {
  await shop?.close();
  await server?.stop();
});

const run = (...args: string[]) => cli(server.url, args);
const quiet = { code: 0, err: '' };

describe('looking', () => {
  test('streams', async () => {
    const ended = await run('streams');
    expect(ended).toMatchObject(quiet);
    const [head, row] = ended.out.split('\n');
    expect(head).toMatch(/^STREAM +LENGTH +GROUPS +PENDING +LAG +DEAD LETTERS +NEWEST$/);
    expect(row).toMatch(/^orders +5 +2 +0 +5 +2 +(now|\d+ m?s ago)$/);
    expect(rows(await run('streams', '--json'))).toEqual([
      expect.objectContaining({
        name: 'orders',
        length: 5,
        deadLetters: 2,
        groups: ['billing', 'mailing'],
      }),
    ]);
  });

  test('groups and consumers', async () => {
    expect(rows(await run('groups', 'orders', '--json'))).toEqual([
      expect.objectContaining({ stream: 'orders', name: 'billing', alive: 1, pending: 0, lag: 0 }),
      expect.objectContaining({ stream: 'orders', name: 'mailing', alive: 0, pending: 0, lag: 5 }),
    ]);
    const ended = await run('consumers', 'orders');
    expect(ended.out).toMatch(
      /^GROUP +CONSUMER +STATE +PENDING +IDLE\nbilling +billing-1 +alive +0 /,
    );
  });

  test('pending: its age, its owner, its deliveries', async () => {
    await server.command('XREADGROUP GROUP mailing worker-7 COUNT 2 STREAMS orders >');
    const [first, second] = rows(await run('pending', 'orders', 'mailing', '--json'));
    expect(first).toMatchObject({
      stream: 'orders',
      group: 'mailing',
      consumer: 'worker-7',
      deliveryCount: 1,
    });
    expect(Number(second?.age)).toBeGreaterThanOrEqual(0);
    expect((await run('pending', 'orders')).out).toMatch(/mailing +\d+-\d+ .* 1 +worker-7\n/);
  });

  test('history, with a filter', async () => {
    const ended = await run('history', 'order.*', '--filter', 'data.orderId=b1', '--json');
    expect(rows(ended)).toMatchObject([
      { id: 'bad-1', type: 'order.paid', data: { orderId: 'b1' } },
    ]);
  });

  test('tail of a stream: from its beginning, by a pattern, by where a group is', async () => {
    const whole = ['tail', '--stream', 'orders', '--no-follow', '--json'];
    const all = rows(await run(...whole));
    expect(all.map(({ id }) => id)).toEqual(['good-0', 'good-1', 'good-2', 'bad-0', 'bad-1']);
    expect(all[0]).toMatchObject({
      stream: 'orders',
      messageId: expect.stringMatching(/^\d+-\d+$/),
    });
    const after = rows(await run(...whole, '--group', 'mailing'));
    expect(after.map(({ id }) => id)).toEqual(['good-2', 'bad-0', 'bad-1']);
    const limited = await run(
      'tail',
      '--stream',
      'orders',
      '--from',
      'beginning',
      '-n',
      '2',
      '--format',
      'data',
    );
    expect(limited.out).toBe('{"orderId":"g0","account":"a"}\n{"orderId":"g1","account":"a"}\n');
  });

  test('tail, live and of a stream that grows', async () => {
    const live = cli(server.url, [
      ...['tail', 'ping.*', '--json', '-n', '2', '--filter', 'metadata.source=test'],
    ]);
    const grown = cli(server.url, ['tail', '--stream', 'orders', '--json', '-n', '1']);
    let isOver = false;
    const both = Promise.all([live, grown]).finally(() => {
      isOver = true;
    });
    for (let n = 0; !isOver; n += 1) {
      await shop.bus.publish('ping.sent', { n }, { source: 'other' });
      await shop.bus.publish('ping.sent', { n }, { source: 'test' });
      await shop.bus.publish('order.paid', { orderId: `t${n}`, account: 'a' });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const [heard, read] = await both;
    expect(rows(heard)).toHaveLength(2);
    const ping = { type: 'ping.sent', metadata: { source: 'test' } };
    expect(rows(heard)).toMatchObject([ping, ping]);
    expect(rows(read)).toMatchObject([{ type: 'order.paid', stream: 'orders' }]);
    expect([heard.code, read.code]).toEqual([0, 0]);
  });

  test('it creates nothing: no key, group, consumer or registration', async () => {
    const state = async () => [
      await server.command('DBSIZE'),
      await server.command('HLEN oxbus:streams'),
      await server.command('XINFO GROUPS orders'),
    ];
    const before = await state();
    await run('streams', '--scan');
    await run('groups');
    await run('dlq', 'list');
    expect(await state()).toEqual(before);
  });
});

describe('dead letters', () => {
  test('are listed, shown, replayed and removed', async () => {
    const [first, second] = rows(await run('dlq', 'list', '--json'));
    expect(first).toMatchObject({
      stream: 'orders',
      group: 'billing',
      reason: 'not-retryable',
      attempts: 1,
    });
    const shown = await run('dlq', 'show', String(first?.id));
    expect(shown.out).toContain('error     NonRetryableError: no such account');
    expect(shown.out).toContain('"orderId": "b0"');
    shop.isBroken = false;
    await shop.settled();
    const before = shop.handled;
    const replayed = await run('dlq', 'replay', String(first?.id));
    expect(replayed.out).toMatch(/^orders:dlq:\S+ is \d+-\d+ now\n$/);
    await eventually(() => expect(shop.handled).toBe(before + 1));
    expect(await run('dlq', 'remove', String(second?.id), '--yes')).toMatchObject(quiet);
    const none = await run('dlq', 'list');
    expect(none).toMatchObject({ code: 0, out: '', err: 'there are no dead letters\n' });
    shop.isBroken = true;
  });

  test('all of a group are replayed, and those of a stream purged; both count first', async () => {
    await shop.order(0, 3);
    const asked = await run('dlq', 'replay', '--all');
    expect(asked).toMatchObject({ code: 2, out: '' });
    expect(asked.err).toContain('move 3 dead letters back, to the groups that failed: give --yes');
    const replayed = await run('dlq', 'replay', '--all', '--group', 'billing', '--yes', '--json');
    expect(rows(replayed)).toEqual([{ replayed: 3, failed: 0, of: 3 }]);
    await eventually(async () => expect(await shop.bus.deadLetters.count('orders')).toBe(3));
    expect(rows(await run('dlq', 'purge', 'orders', '--yes', '--json'))).toEqual([
      { removed: 3, of: 3 },
    ]);
  });

  test('those that were moved before one that cannot be are counted', async () => {
    await shop.order(0, 2);
    const control = new Redis(server.url);
    try {
      const [last] = await control.xrevrange('orders:dlq', '+', '-', 'COUNT', 1);
      const fields = last?.[1] ?? [];
      fields[fields.indexOf('dlq-group') + 1] = 'gone';
      await control.xadd('orders:dlq', '*', ...fields);
      const ended = await run('dlq', 'replay', '--all', '--yes', '--json');
      expect(ended).toMatchObject({ code: 4, err: expect.stringContaining('gone') });
      expect(rows(ended)).toEqual([{ replayed: 2, failed: 1, of: 3 }]);
    } finally {
      control.disconnect();
      await eventually(async () => expect(await shop.bus.deadLetters.count('orders')).toBe(3));
      await run('dlq', 'purge', 'orders', '--yes');
    }
  });
});

test('those of a reason are chosen and moved by the engine, not read one by one', async () => {
  await shop.order(0, 100);
  const count = await shop.bus.deadLetters.count('orders');
  shop.isBroken = false;
  const control = new Redis(server.url);
  const scripts = async () => {
    const info = await control.info('commandstats');
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0);
  };
  const replay = async (reason: string, ...more: string[]) =>
    rows(await run('dlq', 'replay', '--all', '--yes', '--json', '--reason', reason, ...more));
  try {
    expect(await replay('crashed')).toEqual([{ replayed: 0, failed: 0, of: 0 }]);
    expect(await replay('not-retryable', '-n', '2')).toEqual([{ replayed: 2, failed: 0, of: 2 }]);
    const before = await scripts();
    const left = count - 2;
    expect(await replay('not-retryable')).toEqual([{ replayed: left, failed: 0, of: left }]);
    // One moves each; a replay of its own would ask for the group by another one each time.
    expect((await scripts()) - before).toBeLessThan(left * 1.5);
    expect(await shop.bus.deadLetters.count('orders')).toBe(0);
  } finally {
    control.disconnect();
    shop.isBroken = true;
  }
});

describe('changing', () => {
  test('publish stores where the services do', async () => {
    const stored = await run('publish', 'order.paid', '{"orderId":"x","account":"a"}', '--json');
    expect(rows(stored)).toMatchObject([{ type: 'order.paid', stream: 'orders' }]);
    expect(await server.command('HGET oxbus:streams orders', 1)).toContain('["order.*"]');
    const live = await run('publish', 'cache.cleared');
    expect(live.out).toMatch(/^cache\.cleared \S+: not stored, 0 subscriptions have it\n$/);
    expect(live.err).toContain('no registered stream stores cache.cleared');
    const input = '{"orderId":"l1","account":"a"}\n\n{"orderId":"l2","account":"a"}\n';
    const lines = await cli(server.url, ['publish', 'order.paid', '-', '--lines', '--json'], {
      input,
    });
    expect(rows(lines)).toEqual([{ published: 2, failed: 0 }]);
  });

  test('replay to a group, moving a group, trimming', async () => {
    await shop.settled();
    const before = shop.handled;
    const replayed = await run(
      'replay',
      'orders',
      'billing',
      '--from',
      'beginning',
      '-n',
      '2',
      '--yes',
      '--json',
    );
    expect(rows(replayed)).toMatchObject([{ replayed: 2, failed: 0, of: 2 }]);
    await eventually(() => expect(shop.handled).toBe(before + 2));
    const moved = await run(
      'groups',
      'move',
      'orders',
      'mailing',
      '--to',
      'new',
      '--yes',
      '--json',
    );
    expect(rows(moved)).toMatchObject([{ group: 'mailing', lag: 0 }]);
    const trimmed = await run('trim', 'orders', '--max-length', '2', '--yes', '--json');
    expect(rows(trimmed)).toEqual([{ stream: 'orders', removed: expect.any(Number) }]);
    expect((await shop.bus.streams.info('orders')).length).toBe(2);
  });

  test('bench leaves nothing behind', async () => {
    const before = await server.command('DBSIZE');
    const ended = await run('bench', '--seconds', '0.1', '--json');
    expect(rows(ended)).toEqual([
      {
        bytes: 200,
        livePerSecond: expect.any(Number),
        storedPerSecond: expect.any(Number),
        p50: expect.any(Number),
        p99: expect.any(Number),
      },
    ]);
    expect(await server.command('DBSIZE')).toBe(before);
  });
});

describe('on a terminal', () => {
  test('results have colours, and what destroys asks', async () => {
    const listed = await onTerminal(server.url, ['streams']);
    expect(listed.out).toContain('\x1b[2mSTREAM');
    expect(listed.code).toBe(0);
    const plain = await onTerminal(server.url, ['streams'], { env: { NO_COLOR: '1' } });
    expect(plain.out).not.toContain('\x1b');
    const refused = await onTerminal(server.url, ['trim', 'orders', '--max-length', '0'], {
      input: 'n\n',
    });
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.out).toMatch(/trim orders, which has \d+ entries.*\? \[y\/N\]/s);
    expect(refused.out).toContain('nothing was changed');
    const done = await onTerminal(server.url, ['trim', 'orders', '--max-length', '1'], {
      input: 'y\n',
    });
    expect(done).toMatchObject({
      code: 0,
      out: expect.stringMatching(/entries of orders are removed/),
    });
  });

  test('tail and --watch go on until Ctrl-C', async () => {
    const tailed = await onTerminal(server.url, ['tail', 'order.*'], { until: /listening/ });
    expect(tailed.code).toBe(130);
    const watched = await onTerminal(server.url, ['groups', '--watch'], { until: /mailing/ });
    expect(watched.out).toContain('\x1b[H\x1b[J');
    expect(watched.code).toBe(130);
  });

  test('every command', async () => {
    shop.isBroken = true;
    await shop.order(1, 2);
    const [first, second] = await shop.bus.deadLetters.list({ stream: 'orders' });
    const expected: [string[], RegExp][] = [
      [['streams', '--scan'], /orders/],
      [['groups'], /mailing/],
      [['consumers', 'orders'], /billing-1 +alive/],
      [['pending', 'orders'], /nothing is pending|worker-7/],
      [['history', '--limit', '2'], /order\.\S*paid/],
      [['tail', '--stream', 'orders', '--no-follow', '-n', '1'], /order/],
      [['publish', 'order.paid', '{"account":"a"}'], /stored in orders/],
      [['dlq', 'list'], /not-retryable/],
      [['dlq', 'show', String(first?.id)], /chargeAccount/],
      [['dlq', 'replay', String(first?.id)], / now/],
      [['dlq', 'remove', String(second?.id), '-y'], /is removed/],
      [
        ['replay', 'orders', 'mailing', '--from', 'beginning', '-n', '1', '-y'],
        /█.*1 of 1 replayed/s,
      ],
      [['groups', 'move', 'orders', 'mailing', '--to', 'beginning', '-y'], /is at 0-0 now/],
      [['dlq', 'purge', 'orders', '-y'], /removed/],
      [['trim', 'orders', '--before', '7d', '-y'], /^0 of \d+ entries/m],
      [['doctor', '--seconds', '0.1'], /new EventBusClient/],
      [['bench', '--seconds', '0.1'], /█.*stored events/s],
      [['completion', 'zsh'], /#compdef/],
    ];
    for (const [args, text] of expected) {
      const { out, code } = await onTerminal(server.url, args);
      expect({ args, out }).toMatchObject({ out: expect.stringMatching(text) });
      expect([0, 10, 20]).toContain(code);
    }
  }, 60_000);

  test('a purge is interrupted by Ctrl-C and can be repeated', async () => {
    await shop.order(0, 1);
    const copy =
      "local one = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2] for i = 1, 20000 do redis.call('XADD', KEYS[1], '*', unpack(one)) end";
    await server.command(`EVAL "${copy}" 1 orders:dlq`);
    const purge = ['dlq', 'purge', 'orders', '--yes'];
    const stopped = await onTerminal(server.url, purge, { until: /█/ });
    expect(stopped.code).toBe(130);
    const [, removed] = /(\d+) of \d+ removed/.exec(stopped.out) ?? [];
    const left = await shop.bus.deadLetters.count('orders');
    expect(Number(removed) + left).toBeGreaterThan(20_000);
    expect(left).toBeGreaterThan(0);
    expect(rows(await run(...purge, '--json'))).toEqual([{ removed: left, of: left }]);
  });

  test('a payload that is too long is folded, and --full shows it', async () => {
    await shop.bus.publish('order.long', { account: 'a', text: 'y'.repeat(500) });
    const args = ['tail', 'order.long', '--stream', 'orders', '--no-follow'];
    const folded = await onTerminal(server.url, args);
    expect(folded.out).toMatch(/y+ … 5\d\d characters/);
    expect((await onTerminal(server.url, [...args, '--full'])).out).toContain('y'.repeat(500));
  });
});
