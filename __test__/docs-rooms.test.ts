/** The page on the architecture names every room that there is, and none that there is not. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '..');
const page = readFileSync(join(ROOT, 'docs', 'architecture.md'), 'utf8');

/** The folders in a folder; of `redis` those in it instead. */
function rooms(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'tests')
    .flatMap(({ name }) =>
      name === 'redis'
        ? ['redis', ...rooms(join(folder, name)).map((inner) => `redis/${inner}`)]
        : [name],
    );
}

/** The rooms in the first column of the table whose heading names the folder. */
function described(folder: string): string[] {
  const [, table = ''] = page.split(`| room of \`${folder}\` |`);
  const rows = (table.split('\n\n')[0] as string).split('\n');
  return rows.flatMap((row) => {
    const [, first = ''] = row.split('|');
    return [...first.matchAll(/`([a-z_/]+)\/`/g)].map(([, name]) => name as string);
  });
}

test.each(['crates/engine/src', 'crates/model/src', 'ts'])('rooms of %s', (folder) => {
  expect(described(folder).sort()).toEqual(rooms(folder).sort());
});
