/** Runs the command line, piped or on a terminal of its own. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Ended } from './scripts';

export const CLI = join(__dirname, '..', '..', 'cli.js');
const LIMIT = 40_000;

export interface CliOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** What it reads from stdin. */
  input?: string;
  limit?: number;
  /** Ends it by this signal once its stderr or stdout matches. */
  until?: RegExp;
}

/** With the server of `url` as `REDIS_URL`. */
export function cli(
  url: string | undefined,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Ended> {
  return started(process.execPath, [CLI, ...args], url, options);
}

/**
 * The same on a pseudo-terminal, by `script` of util-linux, which Debian and Ubuntu cannot be without. What it writes, to either
 * output, is `out`.
 */
export function onTerminal(
  url: string | undefined,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Ended> {
  const quoted = [process.execPath, CLI, ...args].map(
    (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  );
  const line = `stty cols 120; exec ${quoted.join(' ')}`;
  const env = {
    TERM: 'xterm-256color',
    NO_COLOR: undefined,
    FORCE_COLOR: undefined,
    ...options.env,
  };
  return started('script', ['-qec', line, '/dev/null'], url, { ...options, env });
}

function started(
  program: string,
  args: readonly string[],
  url: string | undefined,
  { env, cwd = __dirname, input, limit = LIMIT, until }: CliOptions,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd,
      env: { ...process.env, REDIS_URL: url, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), limit);
    let [out, err] = ['', ''];
    let isTold = false;
    const look = () => {
      if (until === undefined || isTold || !(until.test(out) || until.test(err))) return;
      isTold = true;
      // A terminal hands Ctrl-C on as a signal.
      if (program === 'script') child.stdin.write('\x03');
      else child.kill('SIGINT');
    };
    child.stdout.on('data', (text) => {
      out += text;
      look();
    });
    child.stderr.on('data', (text) => {
      err += text;
      look();
    });
    child.stdin.on('error', () => {});
    if (input !== undefined) child.stdin.write(input);
    if (program !== 'script') child.stdin.end();
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      child.stdin.destroy();
      resolve({ code, signal, out, err, at: Date.now() });
    });
  });
}

/** The JSON lines of a result. */
export const rows = (ended: Ended): Record<string, unknown>[] =>
  ended.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
