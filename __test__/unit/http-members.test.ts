/** The members of a JSON object, against what `JSON.parse` makes of the whole. */

import { isDeepStrictEqual } from 'node:util';
import { membersOf } from '../../ts/http/members';

/** A small generator with a seed, so that a failure comes again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PIECES = ['{', '}', '[', ']', ',', ':', '"', '\\', '\\"', '"a"', '"type"', '1', '-0.5e3'];
const MORE = [
  ' ',
  '\n',
  '\t',
  'null',
  'true',
  '"\\\\"',
  '"}"',
  '"[\\"{"',
  '""',
  'é',
  '\u2028',
  '0x1',
];

function texts(count: number, seed: number): string[] {
  const random = randomOf(seed);
  const all = [...PIECES, ...MORE];
  const value = (depth: number): string => {
    const kind = random(depth > 2 ? 3 : 5);
    if (kind === 3)
      return `[${Array.from({ length: random(3) }, () => value(depth + 1)).join(' , ')}]`;
    if (kind === 4) return object(depth + 1);
    return ['1', '"a\\"}]\\\\"', 'null', '""', '-1e5', 'false'][random(6)] as string;
  };
  const object = (depth: number): string => {
    const members = Array.from({ length: random(4) }, (_, n) => `"k${n}\\n" : ${value(depth)}`);
    return `{ ${members.join(',')}}`;
  };
  return Array.from({ length: count }, () => {
    let text = ` ${object(0)}\n`;
    // Most of them are broken in some places.
    for (let n = random(4); n > 0; n -= 1) {
      const at = random(text.length);
      text = text.slice(0, at) + all[random(all.length)] + text.slice(at + random(3));
    }
    return text;
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the members are as values; undefined where the text is refused, by us or as one of them is no JSON. */
function byMembers(text: string): Record<string, unknown> | undefined {
  let members: Map<string, string>;
  try {
    members = membersOf(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  const entries = [...members].map(([name, own]) => [name, parsed(own)] as const);
  return entries.some(([, own]) => own === undefined) ? undefined : Object.fromEntries(entries);
}

function hasTwins(text: string): boolean {
  try {
    membersOf(text);
  } catch (error) {
    return (error as Error).message.includes('twice');
  }
  return false;
}

test('whatever JSON.parse takes is taken apart to the same, and whatever it refuses is refused', () => {
  const wrong: string[] = [];
  let [good, bad] = [0, 0];
  for (const text of texts(50_000, 7)) {
    const whole = parsed(text);
    const own = byMembers(text);
    const isObject = typeof whole === 'object' && whole !== null && !Array.isArray(whole);
    if (!isObject) {
      bad += 1;
      if (own !== undefined) wrong.push(text);
    } else if (own !== undefined) {
      good += 1;
      if (!isDeepStrictEqual(own, whole)) wrong.push(text);
    } else if (!hasTwins(text)) wrong.push(text);
  }
  expect(wrong).toEqual([]);
  expect(good).toBeGreaterThan(5000);
  expect(bad).toBeGreaterThan(5000);
});

test('a mebibyte of anything takes no longer than it must', () => {
  const size = 1 << 20;
  const started = performance.now();
  for (const filler of ['\\', '"', '[', '{', ' ', ',', '\\"', '{"a":']) {
    const text = `{"a":"${filler.repeat(size / filler.length)}`;
    expect(() => membersOf(text)).toThrow(SyntaxError);
    expect(() => membersOf(`{"a":${filler.repeat(size / filler.length)}`)).toThrow(SyntaxError);
  }
  expect(performance.now() - started).toBeLessThan(5000);
  const data = JSON.stringify('x\\"'.repeat(size / 3));
  expect(membersOf(`{"data":${data}}`).get('data')).toBe(data);
});
