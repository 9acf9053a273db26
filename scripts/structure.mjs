// `npm run lint:structure`: fails where the structure of the code breaks one of three rules.
//
// 1. No import circle between files, in any Rust crate, in any Rust test program, and in ts/.
// 2. No source file of more than 400 lines.
// 3. No Rust type with inherent `impl` blocks in more than two files.
//
// What an import is in Rust: a `use`, or a path in the code (`crate::a::b::f(…)`, `super::X`, `child::f()`),
// that leads to an item of another file of the crate. Names are followed through re-exports to the file that
// defines the item. So these are no imports:
// - a `mod` declaration, and a `use` of a module (what is used of the module counts, where it is used);
// - a `pub use`, also `pub(crate)` and the like, unless the file uses the name itself.
// A `use` of everything (`*`) is an import of the module's own file if that file defines anything. A parent that
// imports from its child while the child imports what the parent's file defines is a circle; the cure is a
// file of its own for what both need.
// What is compiled for tests only (`#[cfg(test)]`) is left out of rules 1 and 3. Calls of methods are not seen:
// rule 3 bounds how far a type can be spread. In TypeScript an import of a type counts too.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';
import { problemsOf } from './structure/rules.mjs';

/** The files of the repository: those git knows, and new ones that it does not ignore. */
function filesOfTheRepository() {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  const sources = listed.split('\0').filter((file) => /\.(?:rs|[cm]?[jt]s|lua|md)$/.test(file));
  const present = [...new Set(sources)].sort().filter((file) => existsSync(join(root, file)));
  return new Map(present.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
}

const problems = problemsOf(filesOfTheRepository());
for (const { message, lines } of problems) {
  console.log(message);
  for (const line of lines) console.log(`  ${line}`);
}
const of = (rule) => problems.filter((problem) => problem.rule === rule);
const inCircles = of('circle').reduce((total, { files }) => total + files.length, 0);
console.log(
  `${of('circle').length} import circles (${inCircles} files), ${of('length').length} files over 400 lines, ` +
    `${of('impl').length} types spread over more than two files`,
);
process.exitCode = problems.length > 0 ? 1 : 0;
