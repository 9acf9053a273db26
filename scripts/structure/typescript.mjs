// Which file of a TypeScript folder imports from which; imports of types count as well.

import { dirname, join } from 'node:path/posix';

const IMPORT =
  /\b(?:import|export)\b(?:[^'";]*?\bfrom)?\s*['"](\.[^'"]*)['"]|\b(?:import|require)\(\s*['"](\.[^'"]*)['"]\s*\)/g;

const STRING_OR_COMMENT =
  /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;

/** The text with all comments, and all strings that are no paths, blanked; its lines stay. */
function onlyCode(text) {
  const isPath = /^(['"])[^'"`\n]*\1$/;
  return text.replace(STRING_OR_COMMENT, (part) =>
    isPath.test(part) ? part : part.replace(/[^\n]/g, ' '),
  );
}

/** The imports between the given files; `files` gives texts by path. */
export function typescriptImports(files) {
  const imports = [];
  for (const [from, raw] of files) {
    const text = onlyCode(raw);
    for (const match of text.matchAll(IMPORT)) {
      const name = match[1] ?? match[2];
      const path = join(dirname(from), name);
      const to = [`${path}.ts`, `${path}.d.ts`, join(path, 'index.ts'), path].find((each) =>
        files.has(each),
      );
      if (to === undefined || to === from) continue;
      const line = text.slice(0, match.index + match[0].length).split('\n').length;
      imports.push({ from, to, name, line });
    }
  }
  return imports;
}
