/** The patterns of Nest as types of events. */

/** Keys and values that may stand in a type as they are, so that no two patterns are one type. */
const PLAIN = /^[A-Za-z0-9.-]+$/;
/** What a type may hold, without the sign that begins what it may not. */
const HELD = /[A-Za-z0-9.:-]/;

export function typeOfPattern(pattern: unknown): string {
  if (typeof pattern === 'string') return pattern;
  if (isFlat(pattern)) {
    const keys = Object.keys(pattern).sort();
    return keys.map((key) => `${key}:${pattern[key]}`).join('/');
  }
  let type = 'nest/';
  for (const byte of Buffer.from(sorted(pattern))) {
    const char = String.fromCharCode(byte);
    type += HELD.test(char) ? char : `_${byte.toString(16).padStart(2, '0')}`;
  }
  return type;
}

function isFlat(pattern: unknown): pattern is Record<string, string> {
  if (typeof pattern !== 'object' || pattern === null || Array.isArray(pattern)) return false;
  const entries = Object.entries(pattern);
  return entries.length > 0 && entries.flat().every(isPlain);
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' && PLAIN.test(value);
}

/** As JSON, with the keys of objects in their order. */
function sorted(value: unknown): string {
  const inOrder = (_key: string, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one;
  return JSON.stringify(value, inOrder) ?? 'undefined';
}
