/** Runs a script in a process of its own, with `oxbus` as the name of this package. */

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const ENTRY = join(ROOT, 'index.js');
const LIMIT = 30_000;

/**
 * Within how many ms a process ends that nothing keeps alive, also on a machine that has more to do than it can. What
 * keeps one alive, a connection or a timer of the package, does so for ever.
 */
export const SOON_ENDED = 8_000;

export interface Ended {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
  /** When it ended, in ms since 1970. */
  at: number;
}

export interface RunOptions {
  /** A process that does not end within these ms is killed (`signal` tells). */
  limit?: number;
  /** A process that still runs these ms after its first line is killed: it would stay (`signal` tells). */
  stays?: number;
  cwd?: string;
  /** The runtime of a script; default: the one of the tests. */
  program?: string;
  /** Options of the runtime, before the script. */
  flags?: readonly string[];
  /** On top of the environment of the tests; undefined removes a variable. */
  env?: Record<string, string | undefined>;
}

/** Runs CommonJS code: `oxbus` is this package, the arguments are in `args`. */
export function runScript(
  code: string,
  args: readonly unknown[] = [],
  options?: RunOptions,
): Promise<Ended> {
  const prelude = `const oxbus = require(${JSON.stringify(ENTRY)}); const args = ${JSON.stringify(args)};`;
  const flags = [
    ...(options?.program === undefined ? ['--expose-gc'] : []),
    ...(options?.flags ?? []),
  ];
  const program = options?.program ?? process.execPath;
  return run(program, [...flags, '-e', `${prelude}(async () => {${code}})();`], options);
}

/** Gives `use` the entry of a second copy of this package, which is removed after it. */
export async function withCopy<T>(use: (entry: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-copy-'));
  try {
    const addon = readdirSync(ROOT).filter((name) => name.endsWith('.node'));
    for (const name of ['index.js', 'native.js', 'package.json', 'dist', ...addon]) {
      cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    }
    return await use(join(folder, 'index.js'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function runNode(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return run(process.execPath, args, options);
}

export function run(
  program: string,
  args: readonly string[],
  { limit = LIMIT, stays, cwd, env }: RunOptions = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd,
      env: { ...process.env, ...env },
    });
    let timer = setTimeout(() => child.kill('SIGKILL'), limit);
    let [out, err] = ['', ''];
    child.stdout.on('data', (text) => {
      if (out === '' && stays !== undefined) {
        clearTimeout(timer);
        timer = setTimeout(() => child.kill('SIGKILL'), stays);
      }
      out += text;
    });
    child.stderr.on('data', (text) => {
      err += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, out, err, at: Date.now() });
    });
  });
}
