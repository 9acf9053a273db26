/**
 * The test in the README is run as it is printed, in each runner and each module system: it passes, and the runner ends by
 * itself, whether the bus is disconnected or not. So do the tests of the guide, whose matchers belong to a runner.
 */

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fences } from './support/fences';
import { type Ended, run, runNode } from './support/scripts';

const ROOT = join(__dirname, '..');
const LIMIT = 30_000;
/** The test runner is installed the first time. */
const INSTALL_LIMIT = 180_000;
const own = (name: string) => join(ROOT, 'node_modules', name);
const vitest = join(ROOT, 'fixtures', 'runners', 'node_modules', 'vitest');

const folder = mkdtempSync(join(tmpdir(), 'oxbus-readme-'));

/** The blocks of a page that are fenced like this. */
function blocks(page: string, fence: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return fences(text).flatMap(({ info, body }) => (info === fence ? [body] : []));
}

const [printed = ''] = blocks('README.md', 'ts test');

type Runner = 'vitest' | 'jest' | 'node';
const MODULES = { vitest: 'vitest', jest: '@jest/globals', node: 'node:test' };

/** As a user has them: the package is no link, so what its types import is looked for beside it. */
async function install(): Promise<void> {
  const modules = join(folder, 'node_modules');
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const listed = await succeeds(run('npm', args, { cwd: ROOT, limit: LIMIT }));
  const [{ files }] = JSON.parse(listed.out);
  const addon = readdirSync(ROOT).filter((name) => name.endsWith('.node'));
  for (const name of [...files.map(({ path }: { path: string }) => path), ...addon]) {
    cpSync(join(ROOT, name), join(modules, 'oxbus', name), { recursive: true });
  }
  const own = ['@types/node', 'undici-types', '@jest/globals', 'expect'];
  const links = own.map((name) => [name, join(ROOT, 'node_modules', name)] as const);
  for (const [name, target] of [...links, ['vitest', vitest] as const]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(target, join(modules, name));
  }
}

function project(name: string, type: 'module' | 'commonjs', code: string): string {
  const at = join(folder, name);
  mkdirSync(at);
  writeFileSync(join(at, 'package.json'), JSON.stringify({ name: 'user', type }));
  writeFileSync(join(at, 'billing.test.ts'), code);
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    esModuleInterop: true,
  };
  writeFileSync(join(at, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  return at;
}

async function succeeds(ended: Promise<Ended>): Promise<Ended> {
  const { code, signal, out, err } = await ended;
  expect({ code, signal, said: code === 0 ? '' : out + err }).toEqual({
    code: 0,
    signal: null,
    said: '',
  });
  return ended;
}

/** Runs the tests of a project, compiled; `setup` is a module that the runner loads first. */
async function runTests(
  runner: Runner,
  cwd: string,
  flags: string[],
  setup?: string,
): Promise<Ended> {
  await succeeds(runNode([own('typescript/bin/tsc'), '-p', cwd], { cwd, limit: LIMIT }));
  const options = { cwd, limit: LIMIT };
  if (runner === 'node') {
    return succeeds(runNode(['--test', '--test-reporter=tap', 'billing.test.js'], options));
  }
  if (runner === 'vitest') {
    const setupFiles = setup === undefined ? [] : [setup];
    const config = { test: { include: ['*.test.ts'], setupFiles, watch: false } };
    writeFileSync(join(cwd, 'vitest.config.mjs'), `export default ${JSON.stringify(config)};`);
    return succeeds(runNode([join(vitest, 'vitest.mjs'), 'run'], options));
  }
  const config = {
    testMatch: ['**/*.test.js'],
    transform: {},
    rootDir: cwd,
    setupFilesAfterEnv: setup === undefined ? [] : [setup],
  };
  const args = [
    '--no-warnings',
    '--experimental-vm-modules',
    own('jest/bin/jest.js'),
    '--runInBand',
    ...flags,
    '--config',
    JSON.stringify(config),
  ];
  return succeeds(run(process.execPath, args, options));
}

const cases = (['vitest', 'jest', 'node'] as const).flatMap((runner) =>
  (['module', 'commonjs'] as const).flatMap((type) =>
    (type === 'module' ? [true] : [true, false]).map(
      (disconnects) => [runner, type, disconnects] as const,
    ),
  ),
);

beforeAll(async () => {
  const fixtures = [join(ROOT, 'scripts', 'fixtures.mjs'), 'runners'];
  await succeeds(runNode(fixtures, { limit: INSTALL_LIMIT }));
  await install();
  expect(printed).toContain("from 'vitest'; // or from '@jest/globals', or from 'node:test'");
}, INSTALL_LIMIT + 1000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(cases)(
  'the test of the README in %s, %s (disconnects: %p)',
  async (runner, type, disconnects) => {
    let code = printed.replace("'vitest'", `'${MODULES[runner]}'`);
    if (!disconnects) code = code.replace('afterEach(() => bus.disconnect());', 'void afterEach;');
    const flags = disconnects && runner === 'jest' ? ['--detectOpenHandles'] : [];
    const at = project(`${runner}-${type}-${disconnects}`, type, code);
    const { out, err } = await runTests(runner, at, flags);
    const said = out + err;
    expect(said).toMatch(runner === 'node' ? /^# pass 2$/m : /Tests\S*\s.*2 passed/);
    expect(said).not.toMatch(/did not exit|open handle|close timed out/i);
  },
  2 * LIMIT,
);

const guide = blocks('docs/testing.md', 'ts test');

test.each(['vitest', 'jest'] as const)(
  'the matchers of the guide in %s',
  async (runner) => {
    expect(guide).toHaveLength(1);
    const code = `import 'oxbus/${runner}';\n${guide[0]?.replace("'vitest'", `'${MODULES[runner]}'`)}`;
    const at = project(`matchers-${runner}`, 'module', code);
    const { out, err } = await runTests(runner, at, [], `oxbus/${runner}`);
    expect(out + err).toMatch(/Tests\S*\s.*1 passed/);
  },
  2 * LIMIT,
);
