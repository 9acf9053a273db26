// `npm run test:fixtures`: the program of `fixtures/` with bundlers, frameworks, test runners, package managers and runtimes, with the
// package as it is published. Prints a table. `-- --part`: those that npm test has; `-- --only esbuild`: those whose title
// begins so; `-- --list`: names them. A fixture that cannot run on this system is skipped, which is neither passed nor failed.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlers } from './fixtures/bundlers.mjs';
import { managers } from './fixtures/managers.mjs';
import { nextFixture } from './fixtures/next.mjs';
import { placePackages, Skipped } from './fixtures/project.mjs';
import { runners } from './fixtures/runners.mjs';
import { runtimes } from './fixtures/runtimes.mjs';
import { withServer } from './fixtures/server.mjs';
import { pack, stagePublished } from './packing/stage.mjs';
import { prepare, root, run, script } from './prepare.mjs';

const all = [...bundlers, nextFixture, ...runners, ...managers, ...runtimes];

/** Those that the arguments ask for. */
function chosen(args) {
  const only = args.includes('--only') ? (args[args.indexOf('--only') + 1] ?? '') : '';
  const part = args.includes('--part');
  return all.filter((one) => one.title.startsWith(only) && (one.part === true || !part));
}

/** The packages as files, as package managers take them. */
function packed(packages, folder) {
  mkdirSync(folder);
  const files = Object.entries(packages).map(([name, staged]) => [name, pack(staged, folder)]);
  return Object.fromEntries(files);
}

async function resultOf(fixture, context) {
  try {
    await fixture.run(context);
    return { result: 'passed' };
  } catch (error) {
    if (error instanceof Skipped) return { result: 'skipped', said: error.message };
    return { result: 'failed', said: error.stack };
  }
}

async function runAll(fixtures, context) {
  const rows = [];
  for (const fixture of fixtures) {
    const started = Date.now();
    const { result, said } = await resultOf(fixture, context);
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    rows.push({ title: fixture.title, version: fixture.version(), result, seconds });
    if (said !== undefined) console.log(`\n${fixture.title}: ${result}: ${said}\n`);
  }
  return rows;
}

function print(rows) {
  console.log('| fixture | version | result | seconds |\n|---|---|---|---|');
  for (const { title, version, result, seconds } of rows) {
    console.log(`| ${title} | ${version} | ${result} | ${seconds} |`);
  }
  const count = (wanted) => rows.filter(({ result }) => result === wanted).length;
  console.log(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
  if (count('failed') > 0 || count('passed') === 0) process.exitCode = 1;
}

const args = process.argv.slice(2);

await script('test:fixtures', async () => {
  const fixtures = chosen(args);
  if (args.includes('--list')) {
    console.log(JSON.stringify(fixtures.map(({ title, version }) => [title, version()])));
    return;
  }
  prepare();
  const folders = [...new Set(fixtures.flatMap(({ folders }) => folders))];
  run(process.execPath, [join(root, 'scripts', 'fixtures.mjs'), ...folders]);
  const temporary = mkdtempSync(join(tmpdir(), 'oxbus-fixtures-'));
  try {
    const packages = stagePublished(temporary);
    const places = new Set(fixtures.map(({ place }) => place).filter(Boolean));
    for (const place of places) placePackages(place, packages);
    const needsFiles = fixtures.some((fixture) => fixture.packed === true);
    const files = needsFiles ? packed(packages, join(temporary, 'packed')) : undefined;
    const rows = await withServer((url) => runAll(fixtures, { env: { REDIS_URL: url }, files }));
    print(rows);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});
