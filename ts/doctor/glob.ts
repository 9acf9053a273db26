/** Patterns of Redis, as the engine matches them: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what stands for itself. */

/** Whether a pattern matches a text. */
export function matches(pattern: string, text: string): boolean {
  return new RegExp(`^${source(pattern)}$`, 's').test(text);
}

/** Whether it matches one text only, which it then is. */
export const isPlain = (pattern: string): boolean => !/[*?[\\]/.test(pattern);

function source(pattern: string): string {
  let out = '';
  for (let at = 0; at < pattern.length; at += 1) {
    const one = pattern[at] as string;
    if (one === '*') {
      while (pattern[at + 1] === '*') at += 1;
      out += '.*';
    } else if (one === '?') out += '.';
    else if (one === '[') {
      const end = pattern.indexOf(']', at + 1);
      const last = end < 0 ? pattern.length : end;
      out += set(pattern.slice(at + 1, last));
      at = last;
    } else {
      if (one === '\\' && at + 1 < pattern.length) at += 1;
      out += escaped(pattern[at] as string);
    }
  }
  return out;
}

function set(inner: string): string {
  const negated = inner.startsWith('^');
  const members = negated ? inner.slice(1) : inner;
  if (members === '') return negated ? '.' : '(?!)';
  return `[${negated ? '^' : ''}${members.replace(/[\]^[]/g, '\\$&')}]`;
}

const escaped = (one: string) => one.replace(/[\\^$.*+?()[\]{}|/-]/, '\\$&');
