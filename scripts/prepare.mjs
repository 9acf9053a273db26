// What a fresh clone needs before it can run: npm packages, the native addon, dist/.
// Each function does nothing when its result is already newer than what it is made of.
// No dependencies: this runs before `npm ci`.

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** A problem of the machine that the user has to solve; shown without a stack. */
export class SetupError extends Error {}

const windows = process.platform === 'win32';

/** Finds a program on the PATH; `undefined` when it is not there. */
export function findProgram(name) {
  const names = windows ? [`${name}.exe`, `${name}.cmd`] : [name];
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    for (const candidate of names.map((file) => join(folder, file))) {
      if (existsSync(candidate)) return candidate;
    }
  }
  return undefined;
}

/** Runs a command in the repository, its output on ours; throws when it fails. */
export function run(command, args, { env } = {}) {
  // npm and the programs in node_modules/.bin are .cmd files on Windows, which only a shell starts.
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
    shell: windows,
  });
  if (result.error) throw new SetupError(`cannot run ${command}: ${result.error.message}`);
  if (result.status !== 0) throw new SetupError(`failed: ${[command, ...args].join(' ')}`);
}

/** Path of a program that a dev dependency installs. */
export function localProgram(name) {
  return join(root, 'node_modules', '.bin', windows ? `${name}.cmd` : name);
}

const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function newest(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

const say = (message) => console.log(`[setup] ${message}`);

function checkNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) throw new SetupError(`Node.js 20 or newer is needed, this is ${process.version}`);
}

/** npm packages, as locked. */
export function ensurePackages() {
  checkNode();
  const installed = mtime(join(root, 'node_modules', '.package-lock.json'));
  if (installed >= mtime(join(root, 'package-lock.json'))) return;
  say('installing npm packages');
  // No package needs its install script here: those with native parts bring them ready-made.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
}

/** cargo of the version that Cargo.toml asks for, and a C compiler to link with. */
export function ensureRust() {
  if (!findProgram('cargo')) {
    // rustup adds this folder to login shells only.
    const folder = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin');
    process.env.PATH = `${folder}${delimiter}${process.env.PATH ?? ''}`;
  }
  if (!findProgram('cargo')) {
    throw new SetupError('Rust is needed to build the addon: install it from https://rustup.rs');
  }
  const manifest = readFileSync(join(root, 'Cargo.toml'), 'utf8');
  const wanted = /rust-version = "(\d+)\.(\d+)/.exec(manifest);
  const printed = spawnSync('cargo', ['--version'], {
    cwd: root,
    encoding: 'utf8',
    shell: windows,
  });
  const found = /cargo (\d+)\.(\d+)/.exec(printed.stdout ?? '');
  if (!found) throw new SetupError(`cargo does not run: ${(printed.stderr ?? '').trim()}`);
  const [major, minor] = [Number(found[1]), Number(found[2])];
  if (major < Number(wanted[1]) || (major === Number(wanted[1]) && minor < Number(wanted[2]))) {
    throw new SetupError(
      `Rust ${wanted[1]}.${wanted[2]} or newer is needed, this is ${major}.${minor}: run \`rustup update stable\``,
    );
  }
  if (!windows && !['cc', 'gcc', 'clang'].some(findProgram)) {
    throw new SetupError(
      'a C compiler is needed to link the addon: install gcc or clang (build-essential on Debian, build-base on Alpine, the Xcode command line tools on macOS)',
    );
  }
}

const addonInputs = ['src', 'crates', 'build.rs', 'Cargo.toml', 'Cargo.lock'];

const isAddon = (name) => /^oxbus\..+\.node$/.test(name);

/** Where `buildAddon` leaves the addon and the files napi generates from it. */
export const addonFolder = join(root, 'target', 'addon');

/** The program and arguments that build the addon into `addonFolder`, which is made. */
export function addonBuild() {
  mkdirSync(addonFolder, { recursive: true });
  const files = ['--js', 'native.js', '--dts', 'native.d.ts'];
  const folder = ['--output-dir', join('target', 'addon')];
  return [localProgram('napi'), ['build', '--platform', '--release', ...files, ...folder]];
}

/**
 * Puts what was built into `addonFolder` where native.js looks for it. The committed native.js and
 * native.d.ts stay as they are, so that a test can tell whether they are current.
 */
export function placeAddon() {
  for (const name of readdirSync(addonFolder).filter(isAddon)) {
    copyFileSync(join(addonFolder, name), join(root, name));
  }
  for (const name of ['native.js', 'native.d.ts']) {
    if (!existsSync(join(root, name))) copyFileSync(join(addonFolder, name), join(root, name));
  }
}

/** The native addon, newer than the Rust code. */
export function ensureAddon() {
  const built = readdirSync(root)
    .filter(isAddon)
    .map((name) => mtime(join(root, name)));
  const changed = Math.max(...addonInputs.map((path) => newest(join(root, path))));
  if (built.length > 0 && Math.max(...built) >= changed) return;
  ensureRust();
  say('building the native addon (the first time takes a few minutes)');
  run(...addonBuild());
  placeAddon();
}

/** dist/, newer than ts/. */
export function ensureTypeScript() {
  const changed = Math.max(newest(join(root, 'ts')), mtime(join(root, 'tsconfig.json')));
  if (mtime(join(root, 'dist', 'index.js')) >= changed) return;
  say('compiling ts/ to dist/');
  buildTypeScript();
}

/** Compiles `ts/` to an empty `dist/`: what an earlier layout left there would be packed as well. */
export function buildTypeScript() {
  emptyDist();
  run(localProgram('tsc'), ['-p', 'tsconfig.json']);
}

export function emptyDist() {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
}

/** Everything that the examples and benchmarks need. */
export function prepare() {
  ensurePackages();
  ensureAddon();
  ensureTypeScript();
}

/** Runs the body of a script; a `SetupError` ends it with one line and exit code 1. */
export async function script(name, body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
  }
}
