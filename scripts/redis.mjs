// Finds a redis-server for the tests, or installs one. Run directly it prints the path.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { findProgram, SetupError, script } from './prepare.mjs';

const advice =
  'install Redis 7 or newer (for example `apt-get install redis-server`, `dnf install redis`, ' +
  '`apk add redis` or `brew install redis`), or set OXBUS_REDIS_SERVER to the path of a redis-server';

const installers = [
  // A package list that is missing or too old makes the first attempt fail.
  ['apt-get', ['install', '-y', '--no-install-recommends', 'redis-server'], ['update']],
  ['dnf', ['install', '-y', 'redis'], undefined],
  ['apk', ['add', '--no-cache', 'redis'], undefined],
];

function command(program, args) {
  // stdout belongs to the path that this script prints.
  const result = spawnSync(program, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return result.status === 0;
}

function install() {
  const found = installers.find(([program]) => findProgram(program));
  if (!found) return;
  const [program, args, refresh] = found;
  console.error(`[setup] installing redis-server with ${program}`);
  if (command(program, args) || !refresh) return;
  if (command(program, refresh)) command(program, args);
}

/**
 * Path of a redis-server: OXBUS_REDIS_SERVER, else the PATH, else installed by the system's package
 * manager when this runs as root. Throws a `SetupError` that says what to do.
 */
export function ensureRedisServer() {
  const given = process.env.OXBUS_REDIS_SERVER;
  if (given) {
    if (existsSync(given)) return given;
    throw new SetupError(`OXBUS_REDIS_SERVER names a file that does not exist: ${given}`);
  }
  if (!findProgram('redis-server') && process.getuid?.() === 0) install();
  const server = findProgram('redis-server');
  if (!server) throw new SetupError(`no redis-server was found: ${advice}`);
  return server;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await script('redis', () => console.log(ensureRedisServer()));
}
