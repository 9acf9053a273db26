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

function sources(): string[] {
  return SOURCES.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(rs|ts)$/.test(name) && !/tests/.test(name))
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
  );
}

test('each code is in the table, and each of the table is a code', () => {
  const errors = new Set(ERROR_CODES.map((code) => code.replace('ERR_BUS_', '')));
  const codes = new Set<string>(BOTH);
  for (const text of sources()) {
    for (const [, code = ''] of text.matchAll(/["']([A-Z]+(?:_[A-Z]+)+)["']/g)) {
      if (!errors.has(code) && !OTHERS.test(code)) codes.add(code);
    }
  }
  const guide = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');
  const explained = [...guide.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
  expect(codes.size).toBeGreaterThan(10);
  expect([...codes].sort()).toEqual([...explained].sort());
});
