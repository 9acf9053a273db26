/** The guide to the command line shows what it prints: its commands are run in their order, and the outputs compared. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli } from './support/cli';
import { fences } from './support/fences';
import { RedisServer } from './support/redis-server';
import { Shop } from './support/shop';

const PAGE = join(__dirname, '..', 'docs', 'cli.md');
/** Writes what is printed into the page, instead of comparing. */
const WRITES = process.env.OXBUS_WRITE_DOCS === '1';

let server: RedisServer;
let shop: Shop;

beforeAll(async () => {
  server = await RedisServer.start();
  shop = await Shop.open(server.url);
  await shop.order(3, 2);
  await server.command('XREADGROUP GROUP mailing mailer-1 COUNT 2 STREAMS orders >');
});

afterAll(async () => {
  await shop?.close();
  await server?.stop();
});

/** What differs from run to run, and how wide the columns are for it. */
const masked = (text: string) =>
  text
    .replace(/\d{13}-\d+/g, 'ID')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\d\d:\d\d:\d\d\.\d+/g, 'CLOCK')
    .replace(/\b(now|\d+ (ms|s|min|h)( ago)?)(?=\s|$)/gm, 'SPAN')
    .replace(/127\.0\.0\.1:\d+/g, 'SERVER')
    .replace(/(Redis|Valkey) \d[\d.]*/g, 'VERSION')
    .replace(/up for \S+/g, 'up')
    .replace(/[\d.]+ commands a second of \d+/g, 'LOAD')
    .replace(/[0-9a-f]{32}/g, 'INSTANCE')
    .replace(/(events +|publish +|median, )\d[\d.]*/g, '$1N')
    .replace(/ +/g, ' ');

/** The words of a command line, quoted as in a shell. */
const wordsOf = (line: string) =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

test('what the commands print', async () => {
  let page = readFileSync(PAGE, 'utf8');
  const blocks = [...fences(page)].filter(({ info }) => info === 'console');
  expect(blocks.length).toBeGreaterThan(10);
  for (const { body } of blocks) {
    const printed: string[] = [];
    for (const [given] of body.matchAll(/^\$ npx oxbus .*$/gm)) {
      const [letter] = await shop.bus.deadLetters.list({ limit: 1 });
      const line = given.replace(/orders:dlq:\d+-\d+/, letter?.id ?? 'none');
      const args = wordsOf(line.slice('$ npx oxbus '.length));
      if (args.includes('replay')) shop.isBroken = false;
      // What the other program had is left by now.
      if (args[0] === 'doctor') await server.command('XGROUP DELCONSUMER orders mailing mailer-1');
      const { out, err, code } = await cli(server.url, args);
      if (![0, 10, 20].includes(code ?? -1)) throw new Error(`${line}: ${code} ${err}`);
      printed.push(`${line}\n${out.trimEnd()}`.trimEnd());
      if (args.includes('replay')) await shop.settled();
    }
    const text = printed.join('\n');
    if (WRITES)
      page = page.replace(
        body,
        () => `${text.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:6379')}\n`,
      );
    else expect(masked(text)).toBe(masked(body.trim()));
  }
  if (WRITES) writeFileSync(PAGE, page);
}, 60_000);
