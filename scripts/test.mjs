// `npm test`: sets up what is missing, then runs every check. A failed check does not stop the
// others. The last line of the output is `N passed, N failed`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  addonFolder,
  buildAddon,
  emptyDist,
  ensurePackages,
  ensureRust,
  localProgram,
  root,
  SetupError,
} from './prepare.mjs';
import { ensureRedisServer } from './redis.mjs';
import {
  cargoTests,
  conclude,
  execute,
  jestTests,
  nodeTests,
  print,
  runSteps,
  serverEnvironment,
  single,
} from './test/runner.mjs';

/** Builds the addon and compares what napi generates with what is committed. */
async function addonIsCurrent() {
  try {
    ensureRust();
    buildAddon();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    print(`${error.message}\n`);
    return { code: 1, text: '' };
  }
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

function steps(redisServer) {
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
    ['native addon and its generated files', addonIsCurrent, single],
    ['types', typesAreSound, single],
    ['lint', () => execute(localProgram('biome'), ['ci', '--colors=off', '.']), single],
    ['structure', () => execute(process.execPath, ['scripts/structure.mjs']), single],
    [
      'tests of the structure check',
      () =>
        execute(
          process.execPath,
          ['--test', '--test-reporter=tap', 'scripts/structure/structure.test.mjs'],
          env,
        ),
      nodeTests,
    ],
    ['jest', () => execute(localProgram('jest'), ['--ci'], env), jestTests],
    // Needs dist/ and the addon, which the steps before have made.
    [
      'chaos',
      () => execute(process.execPath, ['scripts/chaos.mjs', '--seconds', '60'], env),
      single,
    ],
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
  return runSteps(steps(redisServer));
}

conclude(await main());
