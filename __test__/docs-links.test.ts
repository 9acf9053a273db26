/** Every relative link of the project's Markdown files leads to a file, and every anchor to a heading of it. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fault, links } from './support/links';

const ROOT = join(__dirname, '..');

const pages = execFileSync(
  'git',
  ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
  {
    cwd: ROOT,
    encoding: 'utf8',
  },
)
  .split('\0')
  .filter((name) => name.endsWith('.md') && existsSync(join(ROOT, name)));

test('every relative link leads somewhere', () => {
  const all = pages.flatMap((page) => links(ROOT, page));
  expect(all.length).toBeGreaterThan(20);
  expect(all.map((link) => fault(ROOT, link)).filter((text) => text !== undefined)).toEqual([]);
});

test('every guide can be reached from the README', () => {
  const reached = new Set(['README.md']);
  for (const page of reached) {
    for (const { target } of links(ROOT, page)) {
      const [path = ''] = target.split('#');
      const name = relative(ROOT, resolve(ROOT, dirname(page), path));
      if (path !== '' && pages.includes(name)) reached.add(name);
    }
  }
  const guides = pages.filter((page) => page.startsWith('docs/'));
  expect(guides.filter((page) => !reached.has(page))).toEqual([]);
});
