// Compares the table of docs/who-hears-whom.md with what the tests have seen.

import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** The rows of the table: who, and whether they hear us and we hear them. */
export function rowsOf(markdown) {
  const lines = markdown.split('\n');
  const head = lines.findIndex((line) => line.startsWith('| peer |'));
  const rows = [];
  for (const line of lines.slice(head + 2)) {
    if (!line.startsWith('|')) break;
    const [peer, , , us, them] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    rows.push({ peer: peer.replaceAll('`', ''), us, them });
  }
  return rows;
}

/** What is wrong with the table: a `yes` that no test has seen, something seen that is not in it, a `no` without a reason. */
export function faultsOf(markdown, folder) {
  const seen = new Set((existsSync(folder) ? readdirSync(folder) : []).map(decodeURIComponent));
  const rows = rowsOf(markdown);
  const faults = rows.length === 0 ? ['there is no table'] : [];
  for (const { peer, ...cells } of rows) {
    for (const [whom, cell] of Object.entries(cells)) {
      const said = cell === 'yes';
      const was = seen.delete(`${peer} ${whom}`);
      if (said !== was)
        faults.push(`${peer} ${whom}: the table says ${cell}, the tests ${was ? 'yes' : 'no'}`);
      const reason = /^no \[(\d+)\]\(#reason-(\d+)\)$/.exec(cell);
      if (!said && (reason === null || !markdown.includes(`\n### Reason ${reason[2]}\n`))) {
        faults.push(`${peer} ${whom}: ${cell} has no reason`);
      }
    }
  }
  return [...faults, ...[...seen].map((name) => `${name}: not in the table`)];
}

export const readTable = (path) => readFileSync(path, 'utf8');
