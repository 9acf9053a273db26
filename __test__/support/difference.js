/** In what two values differ, as a program could tell. */

/** How many values are compared. More are a fault of the test. */
const LIMIT = 10_000_000;

/**
 * Where two values of data differ first, and in what; undefined if nobody can tell one from the other. It looks at types,
 * numbers (`Object.is`), prototypes, own keys in their order, the attributes of all members, and whether members may be added.
 */
function difference(actual, expected) {
  // Of what is in each other: two values, and the key that they have in what is above them.
  const stack = [{ a: actual, b: expected, key: undefined, above: undefined }];
  for (let count = 0; stack.length > 0; count += 1) {
    const pair = stack.pop();
    const { a, b } = pair;
    const different = count > LIMIT ? 'too much to compare' : differenceOf(a, b);
    if (different !== undefined) return `${pathOf(pair)}: ${different}`;
    if (typeof b !== 'object' || b === null) continue;
    for (const key of Object.keys(b)) {
      const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(a, key);
      const other = b[key];
      if (!writable || !enumerable || !configurable)
        return `${pathOf(pair)}.${key}: no plain member`;
      if (Object.is(value, other) && typeof other !== 'object') continue;
      stack.push({ a: value, b: other, key, above: pair });
    }
  }
  return undefined;
}

/** What can be told without a look at the values of members. */
function differenceOf(a, b) {
  if (typeof b !== 'object' || b === null || typeof a !== 'object' || a === null) {
    return Object.is(a, b) ? undefined : `${describe(a)} instead of ${describe(b)}`;
  }
  if (a === b) return 'the same object';
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return 'another prototype';
  if (Array.isArray(a) !== Array.isArray(b)) return 'an array and none';
  if (!Object.isExtensible(a)) return 'it takes no members';
  const [keys, wanted] = [Reflect.ownKeys(a), Reflect.ownKeys(b)];
  if (keys.length === wanted.length && keys.every((key, index) => key === wanted[index])) return;
  return `keys ${JSON.stringify(keys)} instead of ${JSON.stringify(wanted)}`;
}

function describe(value) {
  if (typeof value === 'object') return value === null ? 'null' : 'an object';
  if (Object.is(value, -0)) return '-0';
  return typeof value === 'string' ? JSON.stringify(value) : `${typeof value} ${String(value)}`;
}

/** At most twenty keys, the last ones. */
function pathOf(pair) {
  const keys = [];
  for (let at = pair; at.above !== undefined && keys.length < 20; at = at.above) {
    keys.unshift(`[${JSON.stringify(at.key)}]`);
  }
  return `data${keys.join('')}`;
}

module.exports = { difference };
