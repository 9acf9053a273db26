import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../../scripts/prepare.mjs';

/**
 * Runs a program of Node.js with an addon, and counts.
 *
 * @returns {Promise<Map<string, number>>} instructions by source file, inlined code by the file
 *   that it is from; what has no source, as Node.js itself and compiled JavaScript, is `???`
 */
export async function counted(program, args, addon) {
  const valgrind = findProgram('valgrind');
  if (!valgrind) throw new Error('valgrind is needed: install it with the package manager');
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-callgrind-'));
  try {
    const file = join(folder, 'counts');
    const command = ['--quiet', '--tool=callgrind', `--callgrind-out-file=${file}`];
    const child = spawn(
      valgrind,
      [...command, process.execPath, fileURLToPath(program), ...args.map(String)],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, NAPI_RS_NATIVE_LIBRARY_PATH: addon },
      },
    );
    const [code, signal] = await once(child, 'exit');
    if (code !== 0) throw new Error(`valgrind ended with ${signal ?? code}`);
    return instructionsByFile(readFileSync(file, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads what callgrind has written: https://valgrind.org/docs/manual/cl-format.html */
function instructionsByFile(text) {
  const names = new Map();
  const byFile = new Map();
  let file = '???';
  let called = false;
  for (const line of text.split('\n')) {
    const position = /^(?:fl|fi|fe)=(?:\((\d+)\))?\s*(.*)$/.exec(line);
    if (position) {
      const [, id, name] = position;
      if (id !== undefined && name !== '') names.set(id, name);
      file = id === undefined ? name : (names.get(id) ?? '???');
    } else if (line.startsWith('calls=')) {
      // The next line has the cost of what is called, which is counted where it is spent.
      called = true;
    } else if (/^[+\-*\d]/.test(line)) {
      const [, cost] = line.split(' ');
      if (!called && cost !== undefined) byFile.set(file, (byFile.get(file) ?? 0) + Number(cost));
      called = false;
    }
  }
  return byFile;
}
