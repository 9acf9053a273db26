/** Objects of a shape: the first are copies of a template, the others are made by generated code, and nobody can tell them apart. */

import { setFlagsFromString } from 'node:v8';
import { constructorOf, copiesOf } from '../../ts/native/shapes';
import { difference } from '../support/difference';

const COPIES = 3;
const VALUES = [1, -0, 1e300, 'text', '', null, true, [1], { a: 1 }, 2 ** 31];

const SHAPES = [
  ['id', 'total'],
  ['constructor', 'toString', 'hasOwnProperty'],
  ['not an identifier', '', 'ünïcode', '☃', 'a-b', '$', 'class'],
  Array.from({ length: 256 }, (_, n) => `key${n}`),
  ['__proto__', 'x'],
];

/** What `JSON.parse` makes of these members. */
const parsed = (keys: string[], values: unknown[]) =>
  JSON.parse(`{${keys.map((key, n) => `${JSON.stringify(key)}:${json(values[n])}`)}}`);
const json = (value: unknown) => (Object.is(value, -0) ? '-0' : JSON.stringify(value));

/** How objects of these keys differ from those of `JSON.parse`, of more objects than are copied. */
function differences(keys: string[], copies: number): (string | undefined)[] {
  const made = constructorOf(keys, copies);
  return Array.from({ length: 3 * COPIES }, (_, time) => {
    const values = keys.map((_, index) => VALUES[(time + index) % VALUES.length]);
    return difference(made.build(values), parsed(keys, values));
  }).filter((one) => one !== undefined);
}

test.each(SHAPES.map((keys) => [keys.slice(0, 3).join(), keys]))('%s', (_, keys) => {
  expect(constructorOf(keys, 0).count).toBe(keys.length);
  for (const copies of [0, COPIES, 1000]) expect(differences(keys, copies)).toEqual([]);
});

test('a client with few shapes makes no copies', () => {
  expect([0, 63].map(copiesOf)).toEqual([0, 0]);
});

test('no object is a dictionary, which V8 copies and reads slowly, however it was made', () => {
  setFlagsFromString('--allow-natives-syntax');
  const isFast = new Function('object', 'return %HasFastProperties(object)');
  for (let count = 1; count <= 128; count += 1) {
    const keys = Array.from({ length: count }, (_, n) => `key${n}of${count}`);
    const { build } = constructorOf(keys, COPIES);
    for (let time = 0; time < 2 * COPIES; time += 1) {
      expect([count, time, isFast(build(keys))]).toEqual([count, time, true]);
    }
  }
});

test('an object shares nothing with the next one', () => {
  const { build } = constructorOf(['list', 'n'], COPIES);
  const first = build([[1], 1]) as { list?: number[]; more?: number };
  delete first.list;
  first.more = 1;
  expect(build([[2], 2])).toEqual({ list: [2], n: 2 });
});

test.each<[string, PropertyDescriptor]>([
  ['a setter', { set() {}, get: () => 'inherited', configurable: true }],
  ['a member that nobody may write', { value: 'inherited', writable: false, configurable: true }],
])('members are there although %s of the name is inherited', (_, descriptor) => {
  const before = constructorOf(['id', 'evil'], COPIES);
  before.build([1, 2]);
  Object.defineProperty(Object.prototype, 'evil', descriptor);
  try {
    const after = constructorOf(['id', 'evil'], COPIES);
    for (const made of [before, after]) {
      const object = made.build([3, 4]) as object;
      expect(Object.getOwnPropertyDescriptor(object, 'evil')).toMatchObject({ value: 4 });
      expect(Object.keys(object)).toEqual(['id', 'evil']);
    }
  } finally {
    Reflect.deleteProperty(Object.prototype, 'evil');
  }
});
