// Rust source as tokens, each with its line. Comments, strings and `#[cfg(test)]` items are left out.

const IDENTIFIER = /[A-Za-z0-9_\u0080-\uffff]/;

/** Where the string literal that starts at `at` ends. */
function endOfString(text, at) {
  for (let i = at + 1; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function endOfComment(text, at) {
  let depth = 0;
  for (let i = at; i < text.length; i += 1) {
    const pair = text.slice(i, i + 2);
    if (pair === '/*') depth += 1;
    else if (pair === '*/') depth -= 1;
    else continue;
    i += 1;
    if (depth === 0) return i + 1;
  }
  return text.length;
}

/** Where a comment or a literal that starts at `at` ends; `at` itself when there is none. */
function endOfSkipped(text, at) {
  const rest = (length) => text.slice(at, at + length);
  if (rest(2) === '//') {
    const end = text.indexOf('\n', at);
    return end < 0 ? text.length : end;
  }
  if (rest(2) === '/*') return endOfComment(text, at);
  if (text[at] === '"') return endOfString(text, at);
  // A character, and not the lifetime that begins with the same sign.
  const character = /^'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'/u.exec(rest(14));
  return character ? at + character[0].length : at;
}

/** Where a string with a prefix (`r"…"`, `br#"…"#`, `b"…"`, `b'…'`) ends; `at` when there is none. */
function endOfPrefixed(text, at) {
  const raw = /^(?:b|c)?r(#*)"/.exec(text.slice(at, at + 40));
  if (raw) {
    const end = text.indexOf(`"${raw[1]}`, at + raw[0].length);
    return end < 0 ? text.length : end + 1 + raw[1].length;
  }
  const plain = /^[bc](?=["'])/.test(text.slice(at, at + 2));
  return plain ? endOfSkipped(text, at + 1) : at;
}

/** All tokens: identifiers, `::`, and single signs. */
function scan(text) {
  const tokens = [];
  let line = 1;
  let at = 0;
  const skipTo = (end) => {
    for (; at < end; at += 1) if (text[at] === '\n') line += 1;
  };
  while (at < text.length) {
    const skipped = endOfSkipped(text, at);
    if (skipped > at) {
      skipTo(skipped);
      continue;
    }
    if (IDENTIFIER.test(text[at])) {
      const prefixed = endOfPrefixed(text, at);
      if (prefixed > at) {
        skipTo(prefixed);
        continue;
      }
      let end = at;
      while (end < text.length && IDENTIFIER.test(text[end])) end += 1;
      // `r#type` is the identifier `type`.
      if (
        text.slice(at, end) === 'r' &&
        text[end] === '#' &&
        IDENTIFIER.test(text[end + 1] ?? '')
      ) {
        at = end + 1;
        continue;
      }
      tokens.push({ text: text.slice(at, end), line });
      at = end;
    } else if (text.startsWith('::', at)) {
      tokens.push({ text: '::', line });
      at += 2;
    } else {
      if (text[at].trim() !== '') tokens.push({ text: text[at], line });
      skipTo(at + 1);
    }
  }
  return tokens;
}

export const isIdentifier = (token) =>
  token !== undefined && /^[A-Za-z_\u0080-\uffff]/.test(token.text);

const CLOSING = { '(': ')', '[': ']', '{': '}' };

/** The index behind the bracket that closes the one at `at`. */
export function behindBracket(tokens, at) {
  let depth = 0;
  for (let i = at; i < tokens.length; i += 1) {
    if (tokens[i].text in CLOSING) depth += 1;
    else if (Object.values(CLOSING).includes(tokens[i].text)) depth -= 1;
    if (depth === 0) return i + 1;
  }
  return tokens.length;
}

const ITEM =
  /^(?:pub|fn|mod|use|struct|enum|union|impl|trait|const|static|type|async|unsafe|extern|macro_rules|let)$/;

/** The index behind the item, field or statement at `at`. */
function behindItem(tokens, at) {
  let start = at;
  while (tokens[start]?.text === '#') start = behindBracket(tokens, start + 1);
  const isItem = ITEM.test(tokens[start]?.text ?? '');
  let uses = false;
  for (let i = start; i < tokens.length; ) {
    const { text } = tokens[i];
    if (text === 'use' || text === 'let') uses = true;
    if (text === ';' || (text === ',' && !isItem)) return i + 1;
    if (text === '}') return i;
    if (text in CLOSING) {
      i = behindBracket(tokens, i);
      if (text === '{' && isItem && !uses) return i;
    } else i += 1;
  }
  return tokens.length;
}

/** Whether an attribute keeps its item for tests only: `cfg(test)`, or `cfg(all(test, …))`. */
function isForTests(attribute) {
  return /^cfg \( (?:all \( (?:.* )?)?test\b/.test(attribute.map(({ text }) => text).join(' '));
}

/** The tokens of a file without what is compiled for tests only; `path` attributes stay. */
export function tokensOf(text, { keepTests = false } = {}) {
  const all = scan(text);
  const kept = [];
  for (let i = 0; i < all.length; ) {
    if (all[i].text === '#' && all[i + 1]?.text === '[') {
      const end = behindBracket(all, i + 1);
      if (!keepTests && isForTests(all.slice(i + 2, end - 1))) {
        i = behindItem(all, end);
        continue;
      }
      // Attributes name nothing that counts as an import.
      i = end;
      continue;
    }
    if (all[i].text === '#' && all[i + 1]?.text === '!' && all[i + 2]?.text === '[') {
      i = behindBracket(all, i + 2);
      continue;
    }
    kept.push(all[i]);
    i += 1;
  }
  return kept;
}

/** The values of the `#[path = "…"] mod name;` of a file, by the name of the module. */
export function pathAttributes(text) {
  const found = text.matchAll(
    /^\s*#\[path\s*=\s*"([^"]+)"\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/gm,
  );
  return new Map([...found].map(([, path, name]) => [name, path]));
}
