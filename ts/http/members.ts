/** Takes a JSON object apart without parsing what its members hold. */

/**
 * The texts of the members of a JSON object, by name. Throws a SyntaxError where they cannot be told apart, and for a name
 * that comes twice. A text may still be no JSON: if each of them is, the whole is.
 */
export function membersOf(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = skip(text, 0);
  expect(text, at, '{');
  at = skip(text, at + 1);
  if (text[at] === '}') return end(text, at + 1, members);
  for (;;) {
    expect(text, at, '"');
    const nameEnd = stringEnd(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    if (members.has(name)) throw new SyntaxError(`the member ${JSON.stringify(name)} comes twice`);
    at = skip(text, nameEnd);
    expect(text, at, ':');
    const start = skip(text, at + 1);
    at = valueEnd(text, start);
    members.set(name, text.slice(start, at));
    at = skip(text, at);
    if (text[at] === '}') return end(text, at + 1, members);
    expect(text, at, ',');
    at = skip(text, at + 1);
  }
}

/** Where the value that starts here ends, if it is JSON. */
function valueEnd(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return stringEnd(text, start);
  if (first === '{' || first === '[') return nestedEnd(text, start);
  let at = start;
  while (at < text.length && !',}'.includes(text[at] as string) && !isBlank(text, at)) at += 1;
  if (at === start) throw new SyntaxError(`expected a value at character ${at}`);
  return at;
}

function nestedEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; ) {
    const character = text[at];
    if (character === '"') {
      at = stringEnd(text, at);
      continue;
    }
    at += 1;
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  throw new SyntaxError('the body ends too early');
}

/** Behind the quote that ends the string whose first quote is here. */
function stringEnd(text: string, start: number): number {
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw new SyntaxError('a string has no end');
    let escapes = 0;
    while (text[quote - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return quote + 1;
    from = quote + 1;
  }
}

function end(text: string, at: number, members: Map<string, string>): Map<string, string> {
  if (skip(text, at) !== text.length) throw new SyntaxError('something follows the object');
  return members;
}

function expect(text: string, at: number, character: string): void {
  if (text[at] !== character) throw new SyntaxError(`expected ${character} at character ${at}`);
}

function skip(text: string, start: number): number {
  let at = start;
  while (isBlank(text, at)) at += 1;
  return at;
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}
