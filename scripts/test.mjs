// `npm test`: sets up what is missing, then runs every check. A failed check does not stop the
// others. The last line of the output is `N passed, N failed`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  addonBuild,
  addonFolder,
  emptyDist,
  ensurePackages,
  ensureRust,
  localProgram,
  placeAddon,
  root,
  SetupError,
} from './prepare.mjs';
import { ensureRedisServer } from './redis.mjs';
import { second } from './servers/catalog.mjs';
import { fetchServer } from './servers/fetch.mjs';
import {
  cargoTests,
  conclude,
  execute,
  executeBeside,
  fixtureTests,
  jestTests,
  nodeTests,
  print,
  runSteps,
  serverEnvironment,
  single,
} from './test/runner.mjs';

/** Whether the addon was built, and what napi generates is what is committed. */
async function addonIsCurrent(build) {
  const built = await build;
  print(built.text);
  if (built.code !== 0) return built;
  placeAddon();
  const stale = ['native.js', 'native.d.ts'].filter(
    (name) =>
      readFileSync(join(root, name), 'utf8') !== readFileSync(join(addonFolder, name), 'utf8'),
  );
  for (const name of stale) print(`${name} is not current: run \`npm run build:native\`\n`);
  return { code: stale.length > 0 ? 1 : 0, text: '' };
}

async function typesAreSound() {
  // The first project also writes dist/, which Jest loads; the others check tests and examples.
  emptyDist();
  for (const project of ['tsconfig.json', 'tsconfig.test.json', 'examples/tsconfig.json']) {
    const result = await execute(localProgram('tsc'), ['-p', project]);
    if (result.code !== 0) return result;
  }
  return { code: 0, text: '' };
}

/** The server beside the installed one, or why there is none. */
function secondServer() {
  try {
    return { name: second.name, path: fetchServer(second) };
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { name: second.name, reason: error.message };
  }
}

/**
 * The conformance suite on another server. What does not need a server is the same there, and what differs only in how servers are
 * found, or in the channel of live events, says little more of it: `npm run test:servers` runs all.
 */
function onSecondServer({ name, path }) {
  if (!path) return [];
  const suite = [
    'test',
    '-p',
    'oxbus-engine',
    '--locked',
    '--no-fail-fast',
    '--test',
    'conformance',
  ];
  const left = ['memory', 'sentinel', 'sharded'].flatMap((transport) => [
    '--skip',
    `${transport}::`,
  ]);
  const run = () => execute('cargo', [...suite, '--', ...left], serverEnvironment(path));
  return [[`conformance on ${name}`, run, cargoTests]];
}

function steps(redisServer, other, addon) {
  const env = serverEnvironment(redisServer);
  const cargo = (args, extra) => () => execute('cargo', args, { ...env, ...extra });
  return [
    ['cargo fmt', cargo(['fmt', '--all', '--check']), single],
    [
      'cargo clippy',
      cargo(['clippy', '--workspace', '--all-targets', '--locked', '--', '-D', 'warnings']),
      single,
    ],
    [
      'cargo doc',
      cargo(['doc', '--workspace', '--no-deps', '--locked'], { RUSTDOCFLAGS: '-D warnings' }),
      single,
    ],
    [
      'cargo test',
      cargo(['test', '--workspace', '--exclude', 'oxbus', '--locked', '--no-fail-fast']),
      cargoTests,
    ],
    ...onSecondServer(other),
    ['native addon and its generated files', () => addonIsCurrent(addon), single],
    ['types', typesAreSound, single],
    [
      'types with other compilers',
      () => execute(process.execPath, ['scripts/types.mjs', '--part']),
      single,
    ],
    ['lint', () => execute(localProgram('biome'), ['ci', '--colors=off', '.']), single],
    ['structure', () => execute(process.execPath, ['scripts/structure.mjs']), single],
    [
      'tests of the scripts',
      () =>
        execute(
          process.execPath,
          [
            '--test',
            '--test-reporter=tap',
            'scripts/structure/structure.test.mjs',
            'scripts/test/failures.test.mjs',
          ],
          env,
        ),
      nodeTests,
    ],
    ['jest', () => execute(localProgram('jest'), ['--ci'], env), jestTests],
    // What follows needs dist/ and the addon, which the steps before have made.
    [
      'bundlers',
      () => execute(process.execPath, ['scripts/test-fixtures.mjs', '--part'], env),
      fixtureTests,
    ],
    [
      'chaos',
      () => execute(process.execPath, ['scripts/chaos.mjs', '--seconds', '60'], env),
      single,
    ],
    ...['sentinel', 'cluster'].map((topology) => [
      `chaos, ${topology}`,
      () =>
        execute(
          process.execPath,
          ['scripts/chaos.mjs', '--seconds', '20', '--topology', topology],
          env,
        ),
      single,
    ]),
  ];
}

async function main() {
  let redisServer;
  try {
    ensurePackages();
    ensureRust();
    redisServer = ensureRedisServer();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    print(`test: ${error.message}\n`);
    return [{ passed: 0, failed: 1 }];
  }
  const other = secondServer();
  // The tests wait for servers most of the time: the addon is built meanwhile.
  const addon = executeBeside(...addonBuild());
  const results = await runSteps(steps(redisServer, other, addon));
  if (other.reason) print(`not tested on ${other.name}: ${other.reason}\n`);
  return results;
}

conclude(await main());
