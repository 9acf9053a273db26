import { spawnSync } from 'node:child_process';
import { delimiter } from 'node:path';
import { SetupError } from '../../scripts/prepare.mjs';

/** What runs the contestants: the executable that `OXBUS_NODE` names, or the one that runs this. */
export const RUNTIME = process.env.OXBUS_NODE || process.execPath;

/** `RUNTIME`, and those that `OXBUS_NODES` names, separated like the folders of `PATH`. */
export const runtimes = () => {
  const others = (process.env.OXBUS_NODES ?? '').split(delimiter).filter((path) => path !== '');
  return [...new Set([RUNTIME, ...others])];
};

const TELL =
  "console.log(process.versions.bun ? 'Bun ' + process.versions.bun : 'Node.js ' + process.versions.node)";

/** Its name and version, such as `Node.js 24.1.0` or `Bun 1.3.0`. */
export function versionOf(runtime) {
  const { stdout, error } = spawnSync(runtime, ['-e', TELL], { encoding: 'utf8' });
  const version = stdout?.trim();
  if (!version) throw new SetupError(`${runtime} does not run: ${error?.message ?? 'no output'}`);
  return version;
}
