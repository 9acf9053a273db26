/** What keeps the addon from being loaded is said in the first line of one error. */

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PLATFORMS } from '../ts/native/load';
import { runNode } from './support/scripts';

const ROOT = join(__dirname, '..');
const ADDON = readdirSync(ROOT).find((name) => /^oxbus\..+\.node$/.test(name))!;
const PLATFORM = ADDON.split('.')[1]!;
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

const SHOW = `
  try {
    require('oxbus');
    console.log('"loaded"');
  } catch (error) {
    const { name, code, category, retryable, message } = error;
    console.log(JSON.stringify({ name, code, category, retryable, message, cause: error.cause?.code }));
  }`;
const refused = {
  name: 'ResourceError',
  code: 'ERR_BUS_ADDON_UNAVAILABLE',
  category: 'resource',
  retryable: false,
};

let project: string;
let installed: string;

const write = (path: string, content: string | object) => {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(join(project, path), text);
};
const packageOf = (platform: string) => join('node_modules', `oxbus-${platform}`);

/** Installs the package of an addon: the real one, or with a file of this text. */
function install(platform: string, text?: string): void {
  const folder = join(project, packageOf(platform));
  cpSync(join(ROOT, 'npm', platform), folder, { recursive: true });
  const file = join(folder, `oxbus.${platform}.node`);
  if (text === undefined) cpSync(join(ROOT, ADDON), file);
  else writeFileSync(file, text);
}

async function load(flags: string[] = [], env: Record<string, string | undefined> = {}) {
  const ended = await runNode([...flags, 'show.cjs'], { cwd: project, env });
  expect(ended.code).toBe(0);
  return JSON.parse(ended.out);
}

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'oxbus-loading-'));
  installed = join(project, 'node_modules', 'oxbus');
  mkdirSync(installed, { recursive: true });
  for (const name of ['index.js', 'native.js', 'package.json', 'dist']) {
    cpSync(join(ROOT, name), join(installed, name), { recursive: true });
  }
  write('show.cjs', SHOW);
});

afterEach(() => rmSync(project, { recursive: true, force: true }));

/** The system in words: one that is no Linux has no libc. */
const described = `${process.platform} ${process.arch}`;

test('with the package of its addon it loads', async () => {
  install(PLATFORM);
  expect(await load()).toBe('loaded');
});

test('without: which package is missing, and where it would come from', async () => {
  const error = await load();
  expect(error).toMatchObject(refused);
  expect(error.message).toContain(`cannot find its native addon for ${described}`);
  expect(error.message).toContain(`oxbus-${PLATFORM}@${manifest.version} is not installed`);
  expect(error.message).toContain('--omit=optional');
  expect(error.message).not.toContain('\n');
});

test('an uncaught error shows no causes that say the same', async () => {
  const { code, err } = await runNode(['-e', `require('oxbus')`], { cwd: project });
  expect(code).toBe(1);
  expect(err).toContain(`\nResourceError: oxbus cannot find its native addon for ${described}`);
  expect(err).not.toMatch(/cause|github\.com|wasi/i);
});

test('the package of another system is named', async () => {
  const other = PLATFORMS.find((name) => name !== PLATFORM)!;
  install(other, '');
  const { message } = await load();
  expect(message).toContain(`but oxbus-${other} is: install the packages on the system`);
});

test('a file that is no addon: what the system says of it', async () => {
  install(PLATFORM, 'no addon');
  const error = await load();
  expect(error).toMatchObject({ ...refused, cause: 'ERR_DLOPEN_FAILED' });
  expect(error.message).toContain(`cannot load its native addon for ${described}`);
  expect(error.message).toContain(`oxbus.${PLATFORM}.node`);
});

test('the file that the environment names', async () => {
  install(PLATFORM);
  const error = await load([], { NAPI_RS_NATIVE_LIBRARY_PATH: join(project, 'nowhere.node') });
  expect(error).toMatchObject(refused);
  expect(error.message).toContain('NAPI_RS_NATIVE_LIBRARY_PATH');
});

test('a system that it is not built for', async () => {
  write('ppc.cjs', `Object.defineProperty(process, 'arch', { value: 'ppc64' });`);
  const error = await load(['-r', './ppc.cjs']);
  expect(error).toMatchObject(refused);
  expect(error.message).toContain(`no native addon for ${process.platform} ppc64`);
  expect(error.message).toContain(PLATFORM);
});

test('a system that does not tell its libc', async () => {
  write('untold.cjs', `process.report.getReport = () => { throw new Error('no report'); };`);
  const error = await load(['-r', './untold.cjs']);
  expect(error).toMatchObject(refused);
  const wanted = {
    linux: `cannot tell which native addon it needs on ${described}: no report`,
    others: 'is not installed',
  };
  expect(error.message).toContain(process.platform === 'linux' ? wanted.linux : wanted.others);
});

/** Node 20 has it under its first name. */
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

test.each([
  [['--no-addons'], 'start it without --no-addons'],
  [[permission, '--allow-fs-read=*'], 'start it with --allow-addons beside --permission'],
])('a process that may load no addon: %s', async (flags, what) => {
  install(PLATFORM);
  const error = await load(flags);
  expect(error).toMatchObject({ ...refused, cause: 'ERR_DLOPEN_DISABLED' });
  expect(error.message).toContain(what);
});

test('with --allow-addons it loads', async () => {
  install(PLATFORM);
  expect(await load([permission, '--allow-fs-read=*', '--allow-addons'])).toBe('loaded');
});

test('an addon of another version is refused with both', async () => {
  install(PLATFORM);
  write('node_modules/oxbus/package.json', { ...manifest, version: '9.8.7' });
  const error = await load();
  expect(error).toMatchObject(refused);
  expect(error.message).toContain(
    `oxbus 9.8.7 has found the native addon of another version, ${manifest.version}`,
  );
  expect(error.message).toContain(join(packageOf(PLATFORM), `oxbus.${PLATFORM}.node`));
});

test('an addon that does not tell its version is an earlier one', async () => {
  write('node_modules/oxbus/native.js', 'module.exports = {};');
  const error = await load();
  expect(error).toMatchObject(refused);
  expect(error.message).toContain('an earlier version');
});

test('the systems that it knows are those that it is built for', () => {
  expect([...PLATFORMS].sort()).toEqual(readdirSync(join(ROOT, 'npm')).sort());
});
