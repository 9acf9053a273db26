/** Runs a script in a process of its own, with `oxbus` as the name of this package. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';

const ENTRY = join(__dirname, '..', '..', 'index.js');

export interface Ended {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
  /** How long it ran, in ms. */
  took: number;
}

/**
 * Runs CommonJS code: `oxbus` is this package, the arguments are in `args`. A script that does not end
 * within `limit` is killed (`signal` tells).
 */
export function runScript(code: string, args: readonly unknown[] = [], limit = 10_000) {
  const prelude = `const oxbus = require(${JSON.stringify(ENTRY)}); const args = ${JSON.stringify(args)};`;
  return runNode(['--expose-gc', '-e', `${prelude}(async () => {${code}})();`], limit);
}

export function runNode(args: readonly string[], limit = 10_000, cwd?: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd });
    const timer = setTimeout(() => child.kill('SIGKILL'), limit);
    let [out, err] = ['', ''];
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      err += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, out, err, took: performance.now() - started });
    });
  });
}
