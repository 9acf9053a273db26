/** The page on the boundary names every native function and every method of administration, and no others. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '..');
const read = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8');
const page = read('docs', 'design', 'boundary.md');

/** The text of a section of the page. */
function section(heading: string): string {
  const [, text = ''] = page.split(`## ${heading}\n`);
  return text.split('\n## ')[0] as string;
}

const names = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map(([, name]) => name as string))].sort();

test('native functions and methods', () => {
  const declared = names(read('native.d.ts'), /^(?: {2}|export declare function )([a-z]\w*)\(/gim);
  const described = names(
    `${section('Functions')}\n${section('Classes')}`,
    /^ {4,6}([a-z]\w*)\([^)]*\): /gim,
  );
  // The constructors return nothing.
  expect(described).toEqual(declared.filter((name) => name !== 'constructor'));
});

test('methods of administration', () => {
  const answered = names(read('crates', 'engine', 'src', 'admin', 'mod.rs'), /^ +"([\w.]+)" =>/gm);
  expect(names(section('request'), /\b([a-z]\w*(?:\.\w+)?) \{/gi)).toEqual(answered);
});
