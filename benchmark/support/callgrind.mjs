import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../../scripts/prepare.mjs';
import { RUNTIME } from './runtimes.mjs';

/**
 * Runs a program of Node.js with an addon, and counts.
 *
 * @returns {Promise<Map<string, number>>} instructions by source file, inlined code by the file
 *   that it is from; what has no source, as Node.js itself and compiled JavaScript, is `???`
 */
export async function counted(program, args, addon) {
  const env = { NAPI_RS_NATIVE_LIBRARY_PATH: addon };
  const [all] = await callgrind(program, args, { env });
  return instructionsBy('source', all);
}

/**
 * Runs a program of Node.js and counts by thread.
 *
 * @returns {Promise<Map<string, number>[]>} of each thread, the first of which runs JavaScript, its
 *   instructions by the file that holds them: the program, a library, an addon; JavaScript that V8
 *   has compiled is in none, `???`
 */
export async function countedByThread(program, args) {
  const threads = await callgrind(program, args, { options: ['--separate-threads=yes'] });
  return threads.map((text) => instructionsBy('object', text));
}

/** What callgrind has written, each thread by itself if that is asked for. */
async function callgrind(program, args, { env = {}, options = [] }) {
  const valgrind = findProgram('valgrind');
  if (!valgrind) throw new Error('valgrind is needed: install it with the package manager');
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-callgrind-'));
  try {
    const file = join(folder, 'counts');
    const command = [
      ...['--quiet', '--tool=callgrind', `--callgrind-out-file=${file}`],
      ...options,
      ...[RUNTIME, fileURLToPath(program), ...args.map(String)],
    ];
    const child = spawn(valgrind, command, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, ...env },
    });
    const [code, signal] = await once(child, 'exit');
    if (code !== 0) throw new Error(`valgrind ended with ${signal ?? code}`);
    // `counts`; by thread `counts-01` and so on, beside a `counts` without any.
    const all = readdirSync(folder).sort();
    const written = all.length > 1 ? all.filter((name) => name.startsWith('counts-')) : all;
    return written.map((name) => readFileSync(join(folder, name), 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Where the following lines belong to. */
const POSITION = {
  source: /^(?:fl|fi|fe)=(?:\((\d+)\))?\s*(.*)$/,
  object: /^ob=(?:\((\d+)\))?\s*(.*)$/,
};
/** A file that is called: it may get its number here. */
const CALLED = { source: undefined, object: /^cob=\((\d+)\)\s*(.+)$/ };

/** Reads what callgrind has written: https://valgrind.org/docs/manual/cl-format.html */
function instructionsBy(kind, text) {
  const names = new Map();
  const sums = new Map();
  let at = '???';
  let called = false;
  for (const line of text.split('\n')) {
    const found = POSITION[kind].exec(line);
    const named = CALLED[kind]?.exec(line);
    if (named) names.set(named[1], named[2]);
    if (found) {
      const [, id, name] = found;
      if (id !== undefined && name !== '') names.set(id, name);
      at = id === undefined ? name : (names.get(id) ?? '???');
    } else if (line.startsWith('calls=')) {
      // The next line has the cost of what is called, which is counted where it is spent.
      called = true;
    } else if (/^[+\-*\d]/.test(line)) {
      const [, cost] = line.split(' ');
      if (!called && cost !== undefined) sums.set(at, (sums.get(at) ?? 0) + Number(cost));
      called = false;
    }
  }
  return sums;
}
