// The rules on small made-up trees: each is shown to fail, and what is allowed to pass.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { circlesOf } from './circles.mjs';
import { problemsOf } from './rules.mjs';
import { tokensOf } from './rust-tokens.mjs';

const tree = (files) => new Map(Object.entries(files));

/** The problems of a crate whose files are given without their folder. */
const ofCrate = (files, folder = 'crates/a/src') =>
  problemsOf(
    tree(
      Object.fromEntries(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text])),
    ),
  );
const circles = (files) =>
  ofCrate(files).map(({ rule, files: found }) => [rule, ...found.map((f) => f.slice(13))]);

/** Two modules, which are all of a crate. */
const PAIR = 'mod one;\nmod two;\n';
const BOTH = [['circle', 'one.rs', 'two.rs']];

test('a circle of uses is found, with the lines that close it', () => {
  const [problem, ...more] = ofCrate({
    'lib.rs': PAIR,
    'one.rs': 'use crate::two::B;\npub struct A(B);\n',
    'two.rs': '\nuse super::one::A;\npub struct B(A);\n',
  });
  assert.deepEqual(more, []);
  assert.deepEqual(problem.lines, [
    'crates/a/src/one.rs:1: imports B of crates/a/src/two.rs',
    'crates/a/src/two.rs:2: imports A of crates/a/src/one.rs',
  ]);
});

for (const [what, one, two] of [
  [
    'nested braces',
    'use crate::{x::Y, two::{self, deep::{B as C}}};\npub struct A;',
    'pub mod deep { use crate::one::A; pub struct B; }',
  ],
  [
    'paths in the code',
    'pub fn a() { crate::two::b(1) }',
    'pub fn b(n: u8) { if n > 0 { super::one::a() } }',
  ],
  [
    'a path behind a module that was imported',
    'use super::two;\npub fn a() { two::b() }',
    'use crate::one;\npub fn b() { one::a::<u8>() }',
  ],
  [
    'paths in types and bounds',
    'pub trait A { fn a(&self) -> Vec<crate::two::B>; }',
    'pub struct B;\nimpl crate::one::A for B {}',
  ],
  [
    'imports of everything',
    'use crate::two::*;\npub struct A;',
    'use crate::one::*;\npub struct B;',
  ],
  ['a variant', 'use crate::two::B::C;\npub struct A;', 'use crate::one::A;\npub enum B { C(A) }'],
  [
    'a use within a function',
    'pub fn a() { use crate::two::B; }',
    'use crate::one::a;\npub struct B;',
  ],
]) {
  test(`a circle is found through ${what}`, () => {
    assert.deepEqual(circles({ 'lib.rs': PAIR, 'one.rs': one, 'two.rs': two }), BOTH);
  });
}

test('a parent and its child: only what the file of the parent defines makes a circle', () => {
  const parent = 'mod child;\nuse child::Child;\n';
  const found = {
    'parent.rs': `${parent}pub struct Parent(Child);`,
    'parent/child.rs': 'use super::Parent;\npub struct Child;',
  };
  assert.deepEqual(circles({ 'lib.rs': 'mod parent;', ...found }), [
    ['circle', 'parent.rs', 'parent/child.rs'],
  ]);
  const folder = {
    'parent/mod.rs': found['parent.rs'],
    'parent/child.rs': found['parent/child.rs'],
  };
  assert.deepEqual(circles({ 'lib.rs': 'mod parent;', ...folder }), [
    ['circle', 'parent/child.rs', 'parent/mod.rs'],
  ]);
  const one = {
    'parent.rs': `${parent}pub struct Parent(Child);`,
    'parent/child.rs': 'pub struct Child;',
  };
  assert.deepEqual(circles({ 'lib.rs': 'mod parent;', ...one }), []);
});

test('a re-export is no import, and is followed to the file that defines', () => {
  const facade = 'mod one;\nmod two;\npub use one::A;\npub(crate) use two::B;\npub use two::*;\n';
  const files = {
    'one.rs': 'pub struct A;',
    'two.rs': 'use super::A;\npub struct B(A);\npub struct C;',
  };
  assert.deepEqual(circles({ 'lib.rs': facade, ...files }), []);
  // The same names, and each file really needs the other.
  const needs = { ...files, 'one.rs': 'use crate::C;\npub struct A(C);' };
  assert.deepEqual(circles({ 'lib.rs': facade, ...needs }), BOTH);
  // A facade that uses the name itself imports it.
  const uses = {
    'lib.rs': 'mod one;\npub use one::A;\npub struct Root(A);',
    'one.rs': 'use super::Root;\npub struct A;',
  };
  assert.deepEqual(circles(uses), [['circle', 'lib.rs', 'one.rs']]);
});

test('comments, strings, lifetimes, tests and other crates are no imports', () => {
  const one = `//! use crate::two::B;
/* crate::two::b() /* nested */ crate::two::b() */
pub struct A<'a>(&'a str);
pub const TEXT: &str = "crate::two::b()";
pub const RAW: &str = r#"crate::two::b() " "#;
pub const BYTES: &[u8] = b"crate::two::b()";
pub const QUOTE: char = '"';
pub const ESCAPE: char = '\\'';
use other::two::B;
#[cfg(test)]
use crate::two::B;
#[cfg(test)]
mod tests { use crate::two::B; fn a() { crate::two::b(); } }
#[cfg(all(test, unix))]
pub fn b<T, U>(t: T, u: U) -> B { crate::two::b() }
pub struct After(#[cfg(test)] crate::two::B, u8);
`;
  assert.deepEqual(
    circles({
      'lib.rs': PAIR,
      'one.rs': one,
      'two.rs': 'use crate::one::A;\npub struct B;\npub fn b() {}',
    }),
    [],
  );
  // What follows is read again.
  const after = `${one}fn last() { crate::two::b() }`;
  assert.deepEqual(
    circles({
      'lib.rs': PAIR,
      'one.rs': after,
      'two.rs': 'use crate::one::A;\npub struct B;\npub fn b() {}',
    }),
    BOTH,
  );
});

test('what is not compiled in tests is code', () => {
  const one = '#[cfg(not(test))]\nuse crate::two::B;\npub struct A;';
  assert.deepEqual(
    circles({ 'lib.rs': PAIR, 'one.rs': one, 'two.rs': 'use crate::one::A;\npub struct B;' }),
    BOTH,
  );
});

test('the crate at the root and the programs of tests are looked at too', () => {
  const files = {
    'one.rs': 'use crate::two::B;\npub struct A;',
    'two.rs': 'use crate::one::A;\npub struct B;',
  };
  assert.equal(ofCrate({ 'lib.rs': PAIR, ...files }, 'src').length, 1);
  const support = '#[path = "../support/mod.rs"]\nmod support;\n';
  const shared = {
    'support/mod.rs': PAIR,
    'support/one.rs': 'use super::two::B;\npub struct A;',
    'support/two.rs': 'use super::one::A;\npub struct B;',
  };
  const programs = { 'first/main.rs': support, 'second/main.rs': support, ...shared };
  const [problem, ...more] = ofCrate(programs, 'crates/a/tests');
  assert.deepEqual(
    [problem.files, more],
    [['crates/a/tests/support/one.rs', 'crates/a/tests/support/two.rs'], []],
  );
});

test('circles in ts/ are found, those of types too', () => {
  const found = (one, two) =>
    problemsOf(tree({ 'ts/a/one.ts': one, 'ts/a/two.ts': two, 'ts/b/index.ts': '' }));
  const [problem] = found(
    "import type { B } from './two';\n",
    "\nimport {\n  A,\n} from './one';\n",
  );
  assert.deepEqual(problem.lines, [
    'ts/a/one.ts:1: imports ./two of ts/a/two.ts',
    'ts/a/two.ts:4: imports ./one of ts/a/one.ts',
  ]);
  assert.equal(found("export * from './two';", "const a = () => import('./one');").length, 1);
  assert.equal(found("export { b } from '../a/two';", "require('./one');").length, 1);
  assert.deepEqual(
    found(
      "import './two';",
      "// import './one';\nimport '../b';\nimport 'redis';\nconst s = \"import './one'\";",
    ),
    [],
  );
});

test('a file of more than 400 lines is found, unless a reason allows it', () => {
  const lines = (count) => 'x\n'.repeat(count);
  const found = problemsOf(
    tree({
      'a.rs': lines(401),
      'b.test.ts': lines(400),
      'c.mjs': lines(400).concat('last'),
      'd.json': lines(999),
    }),
  );
  assert.deepEqual(
    found.map(({ rule, files: [file] }) => [rule, file]),
    [
      ['length', 'a.rs'],
      ['length', 'c.mjs'],
    ],
  );
  assert.match(found[0].message, /^a\.rs:401: /);
  assert.deepEqual(problemsOf(tree({ 'index.d.ts': lines(2000) })), []);
  assert.equal(problemsOf(tree({ 'ts/index.d.ts': lines(2000) })).length, 1);
});

test('a type with inherent impl blocks in three files is found', () => {
  const block = (name, body = '') =>
    `use crate::group::${name};\nimpl${body} ${name}${body} { pub fn f() -> impl Fn() { || () } }\n`;
  const files = (third) => ({
    'lib.rs': 'mod group;\nmod one;\nmod two;\nmod three;',
    'group.rs': 'pub struct Group;\nimpl Group {}\nimpl Group {}\npub struct Other;',
    'one.rs': block('Group'),
    'two.rs':
      "impl Default for crate::group::Group {}\nimpl<T: for<'a> Fn(&'a u8)> From<T> for crate::group::Group {}\n",
    'three.rs': third,
  });
  assert.deepEqual(ofCrate(files('')), []);
  assert.deepEqual(ofCrate(files(block('Other'))), []);
  assert.deepEqual(ofCrate(files('#[cfg(test)]\nmod tests { impl crate::group::Group {} }')), []);
  const [problem, ...more] = ofCrate(files('\nimpl crate::group::Group {}'));
  assert.deepEqual(more, []);
  assert.match(problem.message, /^Group of crates\/a\/src\/group\.rs .* in 3 files$/);
  assert.equal(problem.lines.at(-1), 'crates/a/src/three.rs:2: impl Group');
  // With parameters, and under another name.
  assert.equal(
    ofCrate(files('use crate::group::Group as G;\nimpl<T> G<T> where T: Copy {}')).length,
    1,
  );
});

test('each circle is told apart, whole and once', () => {
  const edges = (...pairs) => pairs.map(([from, to]) => ({ from, to }));
  assert.deepEqual(circlesOf(edges('ab', 'bc', 'ca', 'cd', 'de', 'ed', 'ef', 'xa')), [
    ['a', 'b', 'c'],
    ['d', 'e'],
  ]);
  assert.deepEqual(circlesOf(edges('ab', 'ac', 'bd', 'cd')), []);
  // Deeper than a stack of calls would go.
  const ring = Array.from({ length: 50_000 }, (_, n) => ({
    from: `${n}`,
    to: `${(n + 1) % 50_000}`,
  }));
  assert.equal(circlesOf(ring)[0].length, 50_000);
});

test('tokens know their lines', () => {
  const tokens = tokensOf('let a = "x\ny";\n/* \n */ r#"\n"# b::c;\n');
  assert.deepEqual(
    tokens.map(({ text, line }) => `${text}${line}`).join(' '),
    'let1 a1 =1 ;2 b5 ::5 c5 ;5',
  );
});
