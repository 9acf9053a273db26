/** Patterns of Redis: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what stands for itself. */

/** Whether a pattern matches a text, as the engine says; who asks loads the addon. A pattern of stars matches an empty text as well. */
export function matches(pattern: string, text: string): boolean {
  if (text === '') return /^\**$/.test(pattern);
  const { native } = require('../native/native') as typeof import('../native/native');
  return native.matches(pattern, text);
}

/** Whether it matches one text only, which it then is. */
export const isPlain = (pattern: string): boolean => !/[*?[\\]/.test(pattern);
