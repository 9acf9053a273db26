// `node scripts/fixtures.mjs [name…]`: installs the packages of these folders of fixtures/, or of all, as locked, where they
// are not installed yet. The tests that need one call it.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, script } from './prepare.mjs';

const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function install(name) {
  const folder = join(root, 'fixtures', name);
  const installed = mtime(join(folder, 'node_modules', '.package-lock.json'));
  if (installed >= mtime(join(folder, 'package-lock.json'))) return;
  // What is used of them needs no install script.
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', ['ci', '--prefix', folder, ...quiet]);
}

await script('fixtures', () => {
  const names = process.argv.slice(2);
  const all = names.length > 0 ? names : readdirSync(join(root, 'fixtures'));
  for (const name of all) install(name);
});
