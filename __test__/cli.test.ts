/** `npx oxbus` as a user sees it: every command, piped and on a terminal. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLI, cli, onTerminal, rows } from './support/cli';
import { eventually } from './support/eventually';
import { freePort, RedisServer } from './support/redis-server';
import { run as runProgram } from './support/scripts';
import { Shop } from './support/shop';

let server: RedisServer;
let shop: Shop;
const folder = mkdtempSync(join(tmpdir(), 'oxbus-cli-'));

beforeAll(async () => {
  server = await RedisServer.start();
  shop = await Shop.open(server.url);
  await shop.order(3, 2);
});

afterAll(async () => {
  await shop?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
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
    const live = cli(server.url, ['tail', 'ping.*', '--json', '-n', '2'], {});
    const grown = cli(server.url, ['tail', '--stream', 'orders', '--json', '-n', '1']);
    let isOver = false;
    const both = Promise.all([live, grown]).finally(() => {
      isOver = true;
    });
    for (let n = 0; !isOver; n += 1) {
      await shop.bus.publish('ping.sent', { n }, { source: 'test' });
      await shop.bus.publish('order.paid', { orderId: `t${n}`, account: 'a' });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const [heard, read] = await both;
    expect(rows(heard)).toHaveLength(2);
    expect(rows(heard)[0]).toMatchObject({ type: 'ping.sent', metadata: { source: 'test' } });
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
    const chosen = ['dlq', 'replay', '--all', '--yes', '--json', '--reason'];
    expect(rows(await run(...chosen, 'crashed'))).toEqual([{ replayed: 0, failed: 0, of: 0 }]);
    expect(rows(await run(...chosen, 'not-retryable'))).toEqual([
      { replayed: 3, failed: 0, of: 3 },
    ]);
    await eventually(async () => expect(await shop.bus.deadLetters.count('orders')).toBe(3));
    expect(rows(await run('dlq', 'purge', 'orders', '--yes', '--json'))).toEqual([
      { removed: 3, of: 3 },
    ]);
  });
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

describe('bad input is one clear line', () => {
  test.each<[string[], number, RegExp]>([
    [['streams', '--redis', 'redis://ghost:wrong@127.0.0.1:PORT'], 3, /password|login/i],
    [['groups', 'nowhere'], 4, /nowhere/],
    [['consumers', 'orders', 'nobody'], 4, /has no group 'nobody'/],
    [['pending', 'nowhere', 'x'], 4, /nowhere/],
    [['trim', 'nowhere', '--max-length', '1', '--yes'], 4, /nowhere/],
    [['publish', 'a', '{"a":'], 2, /the data is no JSON/],
    [['publish', 'a', '1', '--stream', 'nowhere'], 4, /there is no stream 'nowhere': --create/],
    [['streams', 'x*'], 4, /no stream matches 'x\*'/],
    [['history', 'x.*'], 4, /no stored event matches 'x\.\*'/],
    [['tail', 'order.#'], 2, /'order.#' matches no event type: '#'/],
    [['tail', 'x.*', '--stream', 'orders', '--no-follow'], 4, /matches 'x\.\*'/],
    [['tail', '--from', 'beginning'], 2, /--from needs --stream/],
    [['tail', '--stream', 'orders', '--from', 'yesterday'], 2, /'yesterday' is no message id/],
    [['dlq', 'show', 'x'], 4, /no dead letter 'x'/],
    [['dlq', 'lits'], 2, /did you mean 'dlq list'\?/],
    [['stream'], 2, /there is no command 'stream': did you mean 'streams'\?/],
    [['streams', '--jsno'], 2, /no option 'jsno': did you mean --json\?/],
    [['trim', 'orders'], 2, /give one of --max-length/],
    [['trim', 'orders', '--max-length', '1'], 2, /give --yes where nobody can be asked/],
    [['groups', 'move', 'orders', 'mailing', '--to', 'new'], 2, /give --yes/],
  ])('%j', async (words, code, message) => {
    const args = words.map((word) => word.replace('PORT', String(server.port)));
    const ended = await run(...args);
    expect(ended).toMatchObject({ code, out: '' });
    expect(ended.err).toMatch(/^oxbus: [^\n]+\n$/);
    expect(ended.err).toMatch(message);
  });

  test('no server, and none that is named', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    for (const args of [['streams'], ['doctor', '--quiet'], ['publish', 'a', '1']]) {
      const ended = await cli(url, args);
      expect(ended).toMatchObject({ code: 3, out: '' });
      expect(ended.err).toMatch(/^oxbus: [^\n]*127\.0\.0\.1[^\n]*\n$/);
    }
    const ended = await cli(undefined, ['streams']);
    expect(ended).toMatchObject({ code: 2, err: expect.stringContaining('no server is named') });
  });

  test('a user that may only read can look, and is told which right is missing', async () => {
    await server.command(
      'ACL SETUSER reader on >r ~* &* -@all +@read +@connection +@pubsub -publish +info +time +role +@scripting',
    );
    const url = server.url.replace('//', '//reader:r@');
    expect((await cli(url, ['streams'])).out).toContain('orders');
    expect((await cli(url, ['dlq', 'list'])).code).toBe(0);
    const refused = await cli(url, ['trim', 'orders', '--max-length', '1', '--yes']);
    expect(refused).toMatchObject({ code: 5, out: '' });
    expect(refused.err).toMatch(/^oxbus: [^\n]+ACL SETUSER <user> \+xtrim\n$/);
  });
});

describe('a configuration that is shared', () => {
  const shared = (name: string, text: string, args = ['streams', '--json']) => {
    const cwd = mkdtempSync(join(folder, 'config-'));
    writeFileSync(join(cwd, name), text);
    return cli(undefined, args, { cwd });
  };

  test('as JSON, as an ES module and as CommonJS', async () => {
    const config = { redis: server.url, streams: [{ name: 'orders', events: 'order.*' }] };
    const json = JSON.stringify(config);
    for (const [name, text] of [
      ['oxbus.config.json', json],
      ['oxbus.config.mjs', `export default ${json};`],
      ['oxbus.config.js', `module.exports = async () => (${json});`],
    ] as const) {
      expect(rows(await shared(name, text))).toMatchObject([{ name: 'orders' }]);
    }
  });

  test('in TypeScript where Node.js runs it, else it says so', async () => {
    const ended = await shared(
      'oxbus.config.ts',
      `export default { redis: '${server.url}' as string };`,
    );
    const runs = Boolean((process.features as { typescript?: unknown }).typescript);
    if (runs) expect(rows(ended)).toMatchObject([{ name: 'orders' }]);
    else
      expect(ended).toMatchObject({
        code: 2,
        err: expect.stringContaining('does not run TypeScript'),
      });
  });

  test('that is wrong', async () => {
    expect(await shared('oxbus.config.json', '{')).toMatchObject({ code: 2, out: '' });
    const ended = await shared('oxbus.config.json', `{"redis":"${server.url}","prefix":1}`);
    // Only what the command line needs is taken of it.
    expect(ended.code).toBe(0);
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

  test('a payload that is too long is folded, and --full shows it', async () => {
    await shop.bus.publish('order.long', { account: 'a', text: 'y'.repeat(500) });
    const args = ['tail', 'order.long', '--stream', 'orders', '--no-follow'];
    const folded = await onTerminal(server.url, args);
    expect(folded.out).toMatch(/y+ … 5\d\d characters/);
    expect((await onTerminal(server.url, [...args, '--full'])).out).toContain('y'.repeat(500));
  });
});

describe('help and completion', () => {
  const names = async () => {
    const { out } = await run('--help');
    const [, list = ''] = /Commands\n(.*?)\n\n/s.exec(out) ?? [];
    return list.split('\n').map((line) => line.trim().split(/ {2,}/)[0] ?? '');
  };

  test('each command has help with examples, without the addon and without a server', async () => {
    const all = await names();
    expect(all).toEqual(
      expect.arrayContaining(['tail', 'publish', 'dlq replay', 'doctor', 'bench']),
    );
    const env = { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere.node' };
    const helps = await Promise.all(
      all.map((name) => cli(undefined, [...name.split(' '), '--help'], { env })),
    );
    for (const [at, ended] of helps.entries()) {
      expect(ended).toMatchObject(quiet);
      expect(ended.out).toContain(`Usage  npx oxbus ${all[at]}`);
      expect(ended.out).toMatch(/Examples\n {2}# .*\n {2}npx oxbus /);
    }
    // The addon is missing indeed.
    expect((await cli(server.url, ['streams'], { env })).err).toContain('native addon');
  });

  test('bash completes commands and options', async () => {
    const { out } = await run('completion', 'bash');
    const complete = async (...words: string[]) => {
      const list = words.map((word) => `'${word}'`).join(' ');
      const code = `COMP_WORDS=(oxbus ${list}); COMP_CWORD=${words.length}; _oxbus; echo "\${COMPREPLY[@]}"`;
      return (await runProgram('bash', ['-c', `${out}\n${code}`])).out.trim().split(' ');
    };
    expect(await complete('st')).toEqual(['streams']);
    expect(await complete('dlq', '')).toEqual(['list', 'show', 'replay', 'remove', 'purge']);
    expect(await complete('dlq', 'replay', '--re')).toEqual(['--reason', '--redis']);
    expect(await complete('tail', '--gr')).toEqual(['--group']);
    expect(await complete('groups', '--wa')).toEqual(['--watch']);
  });

  test('zsh and fish name every command', async () => {
    const all = (await names()).filter((name) => name !== 'completion');
    for (const shell of ['zsh', 'fish']) {
      const { out } = await run('completion', shell);
      for (const word of all.flatMap((name) => name.split(' '))) expect(out).toContain(word);
    }
    expect(await run('completion', 'csh')).toMatchObject({ code: 2, out: '' });
  });
});

test('who reads it may leave, as head does', async () => {
  const [program, path] = [process.execPath, CLI].map((word) => `'${word}'`);
  const line = `${program} ${path} tail --stream orders --no-follow --redis ${server.url} | true; echo "\${PIPESTATUS[0]}"`;
  expect(await runProgram('bash', ['-c', line])).toMatchObject({ code: 0, out: '0\n', err: '' });
});
