/**
 * JSON texts as strange as they may be: keys of a small pool, so that the same lists of them come again, under which values
 * change their type; all escapes; numbers at the borders of what numbers can say; white space where it may be.
 */

/** The insides of keys, as JSON writes them. Some are the same key in other words. */
const KEYS = [
  ...[
    'id',
    'type',
    'name',
    'a',
    'b',
    'c',
    'data',
    'value',
    'items',
    'created_at',
    '$ref',
    '_',
    'A1',
  ],
  ...[
    'constructor',
    'toString',
    'hasOwnProperty',
    'valueOf',
    'toJSON',
    'then',
    'length',
    '__proto__',
  ],
  ...[
    'class',
    'new',
    'await',
    'yield',
    'let',
    'get',
    'set',
    'static',
    'async',
    'null',
    'eval',
    'arguments',
  ],
  ...['', ' ', '0', '1', '10', '01', '-1', '-0', '1.5', '4294967294', '4294967295', '12345678901'],
  ...['9007199254740991', '1e3', 'NaN', 'a b', 'a-b', '@id', "a'b", `a\`\${b}`, '](c)', '*/', '//'],
  ...['é', 'ÿ', 'Ā', '日本', '😀', '\u2028', '\u2029', '\u007f', '\ufeff', 'ﬁ', 'ª', 'ℵ'],
  ...[
    '\\"',
    '\\\\',
    '\\/',
    '\\n',
    'a\\"b',
    '\\u0061',
    '\\u0000',
    '__proto\\u005f_',
    '\\ud800',
    '\\u00e9',
  ],
  ...['k'.repeat(31), 'é'.repeat(20), 'K'.repeat(130)],
];

/** Numbers at which something changes: what fits a word, what a double can say, how it is rounded. */
const NUMBERS = [
  ...[
    '0',
    '-0',
    '-0.0',
    '0.0',
    '0e0',
    '-0e-5',
    '1',
    '-1',
    '1.0',
    '10',
    '1E2',
    '1e+2',
    '100e-2',
    '1e0',
  ],
  ...[
    '268435455',
    '268435456',
    '-268435456',
    '-268435457',
    '999999999',
    '1000000000',
    '2147483648',
  ],
  ...[
    '9007199254740991',
    '9007199254740993',
    '-9007199254740993',
    '18446744073709551616',
    '1e21',
    '1e-7',
  ],
  ...[
    '1e400',
    '-1e400',
    '1e-400',
    '-1e-400',
    '5e-324',
    '2.4703282292062327e-324',
    '2.4703282292062329e-324',
  ],
  ...[
    '1.7976931348623157e308',
    '1.7976931348623158e308',
    '1.7976931348623159e308',
    '2.2250738585072011e-308',
  ],
  ...[
    '0.1',
    '0.30000000000000004',
    '123456789012345678',
    '0.12345678901234567',
    '1.00000000000000011102',
  ],
  ...[
    '7.2057594037927933e16',
    '9007199254740992.5',
    '0.000000000000000000000000000000000000000001',
  ],
];
const LONG_NUMBERS = [
  `${'1'.repeat(400)}`,
  `0.${'3'.repeat(400)}`,
  `1${'0'.repeat(800)}e-800`,
  `2.${'2'.repeat(770)}e-300`,
];

/** Parts of strings, as JSON writes them. */
const PARTS = [
  ...[
    'a',
    'Z',
    '0',
    ' ',
    'é',
    'ÿ',
    'Ā',
    '日',
    '😀',
    '\u2028',
    '\ufffd',
    '\u007f',
    "'",
    '`',
    '<',
    '\ufeff',
  ],
  ...[
    '\\"',
    '\\\\',
    '\\/',
    '\\b',
    '\\f',
    '\\n',
    '\\r',
    '\\t',
    '\\u0000',
    '\\u0041',
    '\\u00E9',
    '\\u00ff',
  ],
  ...[
    '\\u0100',
    '\\u2028',
    '\\ud83d\\ude00',
    '\\uD83D',
    '\\ude00',
    '\\ude00\\ud83d',
    '\\uFFFF',
    '__proto__',
  ],
];

/** Lengths at which strings are handed over otherwise, and some others. */
const LENGTHS = [1, 2, 7, 8, 9, 12, 13, 24, 36];
const LONG = [64, 112, 113, 127, 128, 129, 224, 260, 300, 700];

const SPACES = ['', ' ', '\t', '\r', '  ', '\r\n  '];
const LISTS = 120;
const STRINGS = 150;

/** @returns a function that makes one text after the other; all follow from `random` (`scripts/chaos/random.mjs`). */
export function createTexts(random) {
  const number = (below) => Math.floor(random.next() * below);
  const times = (count, make) => Array.from({ length: count }, make);

  const newString = () => {
    if (random.chance(0.1)) return '';
    const length = random.pick(random.chance(0.05) ? LONG : LENGTHS);
    // Most strings are plain, and some of them have one strange part, or only such.
    const style = random.next();
    const plain = () => 'abcdefghijklmnopqrstuvwxyz0123456789-'[number(37)];
    if (style < 0.1) return times(Math.min(length, 40), () => random.pick(PARTS)).join('');
    const text = times(length, plain).join('');
    if (style < 0.7) return text;
    const at = number(length + 1);
    return text.slice(0, at) + random.pick(PARTS) + text.slice(at);
  };
  const known = times(STRINGS, newString);

  const newNumber = () => {
    const style = random.next();
    if (style < 0.005) return random.pick(LONG_NUMBERS);
    if (style < 0.4) return random.pick(NUMBERS);
    if (style < 0.7) return `${number(2000) - 1000}`;
    if (style < 0.8) return `${random.next() * 2 ** number(64)}`;
    if (style < 0.9) return `${random.next()}e${number(700) - 350}`;
    return `${random.chance(0.5) ? '-' : ''}${1 + number(9)}${times(number(25), () => number(10)).join('')}.${number(1e9)}`;
  };

  // Each list begins like one before, or is new; one in ten may have a key twice.
  const lists = [[]];
  while (lists.length < LISTS) {
    const begin = random.chance(0.6) ? random.pick(lists) : [];
    const more = times(1 + number(4), () => random.pick(KEYS));
    const list = [...begin.slice(0, number(begin.length + 1)), ...more];
    lists.push(random.chance(0.1) ? list : [...new Set(list)]);
  }

  /** Between any two tokens; each text has a style of its own. */
  let space = () => '';
  const styles = [
    () => '',
    () => '',
    () => (random.chance(0.3) ? ' ' : ''),
    () => random.pick(SPACES),
  ];

  const scalar = () => {
    const style = random.next();
    if (style < 0.35) return `"${random.pick(known)}"`;
    if (style < 0.5) return `"${newString()}"`;
    if (style < 0.8) return newNumber();
    return random.pick(['null', 'true', 'false', '{}', '[]', '""', `{${space()}}`, `[${space()}]`]);
  };

  const joined = (open, parts, close) =>
    parts.length === 0
      ? `${open}${space()}${close}`
      : `${open}${space()}${parts.join(`${space()},${space()}`)}${space()}${close}`;

  const member = (key, depth) => `"${key}"${space()}:${space()}${value(depth)}`;

  const object = (depth) => {
    // A list that nobody has seen before, now and then.
    const keys = random.chance(0.05)
      ? [...random.pick(lists), `new${number(1e6)}`]
      : random.pick(lists);
    const parts = keys.map((key) => member(key, depth + 1));
    return joined('{', parts, '}');
  };

  const array = (depth) => {
    const count = random.chance(0.01) ? number(200) : number(5);
    // Rows of a table, or anything.
    if (count > 1 && random.chance(0.5)) {
      const keys = random.pick(lists);
      const row = () =>
        joined(
          '{',
          keys.map((key) => `"${key}":${scalar()}`),
          '}',
        );
      return joined('[', times(Math.min(count, 8), row), ']');
    }
    return joined(
      '[',
      count > 5 ? times(count, scalar) : times(count, () => value(depth + 1)),
      ']',
    );
  };

  /** About as deep as decoding goes, a little less or more. */
  const deep = () => {
    const levels = times(58 + number(12), () => random.chance(0.5));
    const open = levels.map((isArray) => (isArray ? '[' : '{"a":')).join('');
    const close = levels.reverse().map((isArray) => (isArray ? ']' : '}'));
    return `${open}${scalar()}${close.join('')}`;
  };

  const value = (depth) => {
    const style = random.next() + depth * 0.2;
    if (style < 0.45) return object(depth);
    if (style < 0.6) return array(depth);
    return scalar();
  };

  return () => {
    space = random.pick(styles);
    const style = random.next();
    if (style < 0.005) return deep();
    if (style < 0.15) return scalar();
    return random.chance(0.8) ? object(0) : value(0);
  };
}
