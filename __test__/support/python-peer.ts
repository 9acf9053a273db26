/** A program in Python, with the packages of a folder of `fixtures/python` in a virtual environment that is made once. */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Peer } from './peer';
import { run } from './scripts';

const ROOT = join(__dirname, '..', '..');
const LIMIT = 300_000;

const folderOf = (name: string) => join(ROOT, 'fixtures', 'python', name);
const environmentOf = (name: string) => join(ROOT, 'target', 'interop', 'python', name);
const programOf = (name: string) => join(environmentOf(name), 'bin', 'python');

async function must(program: string, args: string[]): Promise<void> {
  const { code, err, out } = await run(program, args, { limit: LIMIT });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} has failed: ${err || out}`);
}

/** Makes the environment of a folder, unless it has what the folder requires. A missing Python is a failure, never a skip. */
export async function installPython(name: string): Promise<void> {
  const environment = environmentOf(name);
  const requirements = join(folderOf(name), 'requirements.txt');
  const wanted = readFileSync(requirements, 'utf8');
  const mark = join(environment, 'installed.txt');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return;
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environment, { recursive: true });
  await must('python3', ['-m', 'venv', environment]).catch((error: Error) => {
    throw new Error(`these tests need Python 3.11 or newer with venv: ${error.message}`);
  });
  const quiet = ['-q', '--disable-pip-version-check', '--only-binary', ':all:'];
  await must(programOf(name), ['-m', 'pip', 'install', ...quiet, '-r', requirements]);
  writeFileSync(mark, wanted);
}

/** Starts the `peer.py` of a folder. */
export const startPython = (name: string, ...args: string[]): Promise<Peer> =>
  Peer.start(programOf(name), '-u', join(folderOf(name), 'peer.py'), ...args);
