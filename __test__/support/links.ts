/** The relative links of Markdown files in a folder, and whether they lead somewhere. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** The text without fenced blocks and code spans, in which nothing is a link or a heading. */
function prose(root: string, page: string): string {
  return readFileSync(join(root, page), 'utf8')
    .replace(/^```.*\n[\s\S]*?^```$/gm, '')
    .replace(/^ {4}.*$/gm, '');
}

/** The anchors of a page as GitHub makes them of its headings. */
function anchors(root: string, page: string): Set<string> {
  const found = new Set<string>();
  for (const [, heading = ''] of prose(root, page).matchAll(/^#{1,6} (.+)$/gm)) {
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

export interface Link {
  page: string;
  target: string;
}

/** Links and pictures with a relative target; addresses of the web are left alone. */
export function links(root: string, page: string): Link[] {
  const text = prose(root, page).replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target = '']) => ({ page, target }))
    .filter(({ target }) => !/^[a-z]+:/.test(target));
}

/** What is wrong with a link, if anything is. */
export function fault(root: string, { page, target }: Link): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? join(root, page) : resolve(root, dirname(page), path);
  if (!existsSync(file)) return `${page}: ${target} is missing`;
  const name = relative(root, file);
  if (name.startsWith('..')) return `${page}: ${target} is outside of the folder`;
  if (anchor !== undefined && !(name.endsWith('.md') && anchors(root, name).has(anchor))) {
    return `${page}: ${target} has no such heading`;
  }
  return undefined;
}
