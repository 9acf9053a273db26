// What failed, said again at the end of a run: the output before it is long, and a log may be cut.

const MOST_LINES = 40;
const MOST_FAILURES = 20;

const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** How each kind of runner begins the text of a failed test, and what ends that text. */
const runners = [
  // cargo test, behind all tests of a binary
  { begins: /^---- (.+) stdout ----$/, ends: /^(?:failures:|---- .+ stdout ----)$/ },
  // Jest, behind the line of the file, and again in its summary
  { begins: /^ {2}● (?!Console$)(.+)$/, ends: /^(?: {2}● .+|(?:PASS|FAIL) .+|Test Suites: .+)$/ },
  // node --test, in TAP
  { begins: /^\s*not ok \d+ - (.+)$/, ends: /^\s*(?:ok \d+ - .+|# Subtest: .+|1\.\.\d+)$/ },
];

/** The text of each failed test in the output of a test run, each name once: `[{ name, text }]`. */
export function failuresOf(output) {
  const lines = output.replace(escapes, '').split('\n');
  const found = new Map();
  for (const { begins, ends } of runners) {
    for (const [at, line] of lines.entries()) {
      const name = begins.exec(line)?.[1];
      if (name === undefined || found.has(name)) continue;
      const rest = lines.slice(at + 1, at + MOST_LINES);
      const end = rest.findIndex((other) => ends.test(other));
      const own = end < 0 ? rest : rest.slice(0, end);
      found.set(name, [line, ...own].join('\n').trimEnd());
    }
  }
  return [...found].map(([name, text]) => ({ name, text }));
}

/** What is printed of the failures of one step; '' if no failed test can be named. */
export function retold(step, failures) {
  const shown = failures.slice(0, MOST_FAILURES).map(({ text }) => `${text}\n\n`);
  const left = failures.length - shown.length;
  const more = left > 0 ? `and ${left} more failed tests\n` : '';
  return shown.length === 0 ? '' : `\n=== failed in ${step}\n${shown.join('')}${more}`;
}
