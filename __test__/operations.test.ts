/** The guide to operations explains every warning that there is. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_CODES } from '..';

const ROOT = join(__dirname, '..');
const SOURCES = ['crates/engine/src', 'crates/model/src', 'ts'];
/** Codes of errors, ours and those of Node.js, and names of variables of the environment. */
const OTHERS = /^(ERR_|MODULE_NOT_FOUND$|REDIS_|NODE_|SERVICE_NAME$|ENABLE_)/;

/** Codes of errors that are codes of warnings as well. */
const BOTH = ['CLUSTER_MODE'];

/** The codes in the sources below some folders. */
function codesIn(folders: readonly string[], isLeftOut = (_name: string) => false): Set<string> {
  const errors = new Set(ERROR_CODES.map((code) => code.replace('ERR_BUS_', '')));
  const codes = new Set<string>();
  for (const folder of folders) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(rs|ts)$/.test(name) || /tests/.test(name) || isLeftOut(name)) continue;
      const text = readFileSync(join(ROOT, folder, name), 'utf8');
      for (const [, code = ''] of text.matchAll(/["']([A-Z]+(?:_[A-Z]+)+)["']/g)) {
        if (!errors.has(code) && !OTHERS.test(code)) codes.add(code);
      }
    }
  }
  return codes;
}

/** The codes at the beginning of the rows of a guide's tables. */
function explainedIn(guide: string): string[] {
  const rows = readFileSync(join(ROOT, 'docs', guide), 'utf8').matchAll(/^\| (`[A-Z_`, ]+) \|/gm);
  return [...rows].flatMap(([, codes = '']) => codes.split(', ').map((code) => code.slice(1, -1)));
}

test('each code is in the table, and each of the table is a code', () => {
  const codes = new Set([...BOTH, ...codesIn(SOURCES, (name) => /^doctor\b/.test(name))]);
  expect(codes.size).toBeGreaterThan(10);
  expect([...codes].sort()).toEqual(explainedIn('operations.md').sort());
});

test('each code of the doctor is in a table', () => {
  const codes = [...codesIn(['ts/doctor'])];
  const explained = [...explainedIn('operations.md'), ...explainedIn('cli.md')];
  expect(codes.length).toBeGreaterThan(5);
  expect(codes.filter((code) => !explained.includes(code))).toEqual([]);
});
