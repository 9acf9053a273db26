/** What the guide to bundlers and runtimes says is what the fixtures do. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fences } from './support/fences';

const ROOT = join(__dirname, '..');
const guide = readFileSync(join(ROOT, 'docs', 'runtimes.md'), 'utf8');

const shown = fences(guide).filter(({ info }) => info.startsWith('js fixture '));

test.each(shown.map(({ info, body }) => [info.replace('js fixture ', ''), body] as const))(
  'each line that is shown of %s is a line of it',
  (file, body) => {
    const text = readFileSync(join(ROOT, 'fixtures', file), 'utf8');
    const lines = text.split('\n').map((line) => line.trim());
    const missing = body.split('\n').filter((line) => !lines.includes(line.trim()));
    expect(missing).toEqual([]);
  },
);

test('the table names each fixture with its version', () => {
  const script = join(ROOT, 'scripts', 'test-fixtures.mjs');
  const list = execFileSync(process.execPath, [script, '--list'], { encoding: 'utf8' });
  const rows = (JSON.parse(list) as [string, string][]).map(
    ([title, version]) => `| ${title} | ${version} |`,
  );
  expect(rows.length).toBeGreaterThan(20);
  const table = guide.slice(guide.indexOf('| fixture | version |')).trim().split('\n').slice(2);
  expect(table).toEqual(rows);
});
