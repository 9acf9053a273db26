/** `npx oxbus`: what it says of bad input, its configuration file, its help and its completion. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLI, cli, rows } from './support/cli';
import { freePort, RedisServer } from './support/redis-server';
import { run as runProgram } from './support/scripts';
import { Shop } from './support/shop';

let server: RedisServer;
let shop: Shop;
const folder = mkdtempSync(join(tmpdir(), 'oxbus-cli-'));

beforeAll(async () => {
  server = await RedisServer.start();
  shop = await Shop.open(server.url);
  await shop.order(1, 0);
});

afterAll(async () => {
  await shop?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const run = (...args: string[]) => cli(server.url, args);
const quiet = { code: 0, err: '' };

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

  test('makes nothing that it names', async () => {
    const streams = [{ name: 'ghosts', events: 'ghost.*', consumerGroups: ['hunters'] }];
    const text = JSON.stringify({ redis: server.url, streams });
    const before = await server.command('DBSIZE');
    const ended = await shared('oxbus.config.json', text, ['streams', 'ghosts', '--json']);
    expect(rows(ended)).toMatchObject([{ name: 'ghosts', length: 0, groups: [] }]);
    expect(await server.command('DBSIZE')).toBe(before);
    expect(await server.command('HEXISTS oxbus:streams ghosts')).toBe(':0');
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

  test('with export in a package of CommonJS: it is read where Node.js can, else it says what to do', async () => {
    const cwd = mkdtempSync(join(folder, 'config-'));
    writeFileSync(join(cwd, 'package.json'), '{"type":"commonjs"}');
    const config = `import os from 'node:os';\nexport default { redis: '${server.url}', os: os.EOL };`;
    writeFileSync(join(cwd, 'oxbus.config.js'), config);
    const ended = await cli(undefined, ['streams', '--json'], { cwd });
    if ('registerHooks' in nodeModule) expect(rows(ended)).toMatchObject([{ name: 'orders' }]);
    else {
      expect(ended).toMatchObject({ code: 2, out: '' });
      expect(ended.err).toMatch(/^oxbus: [^\n]*Name it oxbus\.config\.mjs[^\n]*\n$/);
    }
  });

  test('that is wrong', async () => {
    expect(await shared('oxbus.config.json', '{')).toMatchObject({ code: 2, out: '' });
    const ended = await shared('oxbus.config.json', `{"redis":"${server.url}","prefix":1}`);
    // Only what the command line needs is taken of it.
    expect(ended.code).toBe(0);
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
