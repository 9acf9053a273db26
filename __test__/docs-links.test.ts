/** Every relative link of the project's Markdown files leads to a file, and every anchor to a heading of it. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

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

/** The text without fenced blocks and code spans, in which nothing is a link or a heading. */
function prose(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8')
    .replace(/^```.*\n[\s\S]*?^```$/gm, '')
    .replace(/^ {4}.*$/gm, '');
}

/** The anchors of a page as GitHub makes them of its headings. */
function anchors(page: string): Set<string> {
  const found = new Set<string>();
  for (const [, heading = ''] of prose(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let unique = anchor;
    for (let count = 1; found.has(unique); count += 1) unique = `${anchor}-${count}`;
    found.add(unique);
  }
  return found;
}

interface Link {
  page: string;
  target: string;
}

/** Links and pictures with a relative target; addresses of the web are left alone. */
function links(page: string): Link[] {
  const text = prose(page).replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target = '']) => ({ page, target }))
    .filter(({ target }) => !/^[a-z]+:/.test(target));
}

function fault({ page, target }: Link): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path);
  if (!existsSync(file)) return `${page}: ${target} is missing`;
  const name = relative(ROOT, file);
  if (name.startsWith('..')) return `${page}: ${target} is outside of the repository`;
  if (anchor !== undefined && !(name.endsWith('.md') && anchors(name).has(anchor))) {
    return `${page}: ${target} has no such heading`;
  }
  return undefined;
}

test('every relative link leads somewhere', () => {
  const all = pages.flatMap(links);
  expect(all.length).toBeGreaterThan(20);
  expect(all.map(fault).filter((text) => text !== undefined)).toEqual([]);
});

test('every guide can be reached from the README', () => {
  const reached = new Set(['README.md']);
  for (const page of reached) {
    for (const { target } of links(page)) {
      const [path = ''] = target.split('#');
      const name = relative(ROOT, resolve(ROOT, dirname(page), path));
      if (path !== '' && pages.includes(name)) reached.add(name);
    }
  }
  const guides = pages.filter((page) => page.startsWith('docs/'));
  expect(guides.filter((page) => !reached.has(page))).toEqual([]);
});
