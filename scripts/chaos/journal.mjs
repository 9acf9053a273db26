import { existsSync, openSync, readFileSync, writeSync } from 'node:fs';

/** An append-only file of records; what was written stays when the process is killed. */
export function openJournal(path) {
  const file = openSync(path, 'a');
  return { write: (record) => writeSync(file, `${JSON.stringify(record)}\n`) };
}

/**
 * The records of a journal; a line that a kill has cut off was never written. A process that was killed before
 * it began has none.
 */
export function readJournal(path) {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line));
}
