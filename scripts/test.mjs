// `npm test`: sets up what is missing, then runs every check. A failed check does not stop the
// others. The last line of the output is `N passed, N failed`.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
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

const STEP_LIMIT_MS = 15 * 60_000;
// Most Rust tests wait for a server most of the time, so a core runs two at once.
const RUST_TEST_THREADS = 2 * availableParallelism();

// Everything goes to stdout: two pipes could be merged out of order, and the last line must be last.
const print = (text) => process.stdout.write(text);

/** Runs a program with its output on ours; resolves to the exit code and the text. */
function execute(command, args, env = {}) {
  return new Promise((resolve) => {
    const windows = process.platform === 'win32';
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: windows,
      detached: !windows,
    });
    let text = '';
    let limitReached = false;
    const limit = setTimeout(() => {
      limitReached = true;
      // The whole group: a test runner left alone would keep our pipes open.
      if (windows) child.kill();
      else process.kill(-child.pid, 'SIGKILL');
    }, STEP_LIMIT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (chunk) => {
        text += chunk;
        print(chunk);
      });
    }
    child.on('error', (error) => {
      clearTimeout(limit);
      print(`${error.message}\n`);
      resolve({ code: 1, text });
    });
    child.on('close', (code) => {
      clearTimeout(limit);
      if (limitReached) print(`\nended after ${STEP_LIMIT_MS / 60_000} minutes\n`);
      resolve({ code: code ?? 1, text });
    });
  });
}

const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

function sum(text, pattern) {
  let total = 0;
  for (const match of text.replace(escapes, '').matchAll(pattern)) total += Number(match[1]);
  return total;
}

/** A check without tests of its own counts as one. */
const single = ({ code }) => (code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });

/** Counts a test run; failing without a failed test, or running none, is one failure. */
function counted(passedPattern, failedPattern) {
  return ({ code, text }) => {
    const passed = sum(text, passedPattern);
    const failed = sum(text, failedPattern);
    if (code === 0 && passed === 0) print('\nno test ran\n');
    const unexplained = failed === 0 && (code !== 0 || passed === 0) ? 1 : 0;
    return { passed, failed: failed + unexplained };
  };
}

const cargoTests = counted(
  /^test result: \w+\. (\d+) passed/gm,
  /^test result: \w+\. \d+ passed; (\d+) failed/gm,
);
const nodeTests = counted(/^# pass (\d+)/gm, /^# fail (\d+)/gm);
const jestTests = counted(/^Tests:.*?(\d+) passed/gm, /^Tests:.*?(\d+) failed/gm);

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
  const env = {
    OXBUS_REDIS_SERVER: redisServer,
    // The name that crates/testkit knows.
    OXBUS_TEST_REDIS_SERVER: redisServer,
    RUST_TEST_THREADS: process.env.RUST_TEST_THREADS ?? String(RUST_TEST_THREADS),
    PATH: `${dirname(redisServer)}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH}`,
  };
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
    return { passed: 0, failed: 1 };
  }
  const results = [];
  for (const [name, body, count] of steps(redisServer)) {
    print(`\n=== ${name}\n`);
    const started = Date.now();
    const result = count(await body());
    results.push({ name, ...result, seconds: Math.round((Date.now() - started) / 1000) });
  }
  print('\n');
  for (const { name, passed, failed, seconds } of results) {
    print(
      `${failed > 0 ? 'FAILED' : 'ok    '}  ${name}: ${passed} passed, ${failed} failed (${seconds} s)\n`,
    );
  }
  return {
    passed: results.reduce((total, { passed }) => total + passed, 0),
    failed: results.reduce((total, { failed }) => total + failed, 0),
  };
}

const { passed, failed } = await main();
print(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
