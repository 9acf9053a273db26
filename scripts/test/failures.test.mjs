import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failuresOf, retold } from './failures.mjs';

const esc = String.fromCharCode(27);

test('the failed tests of cargo are named with what they said', () => {
  const output = [
    'test a::works ... ok',
    'test a::breaks ... FAILED',
    '',
    'failures:',
    '',
    '---- a::breaks stdout ----',
    "thread 'a::breaks' panicked at a.rs:1:1:",
    'left: 1',
    '',
    'failures:',
    '    a::breaks',
    '',
    'test result: FAILED. 1 passed; 1 failed; 0 ignored',
  ].join('\n');
  const failures = failuresOf(output);
  assert.deepEqual(
    failures.map(({ name }) => name),
    ['a::breaks'],
  );
  assert.match(failures[0].text, /left: 1$/);
});

test('the failed tests of Jest are named once, without colours, and its console is none', () => {
  const block = [
    `  ${esc}[1m● rooms › a member leaves${esc}[22m`,
    '',
    '    expected 1, received 2',
  ];
  const output = [
    'FAIL __test__/rooms.test.ts',
    '  ● Console',
    '',
    '    console.warn',
    ...block,
    'PASS __test__/other.test.ts',
    'Summary of all failing tests',
    ...block,
    'Test Suites: 1 failed, 1 passed, 2 total',
  ].join('\n');
  const failures = failuresOf(output);
  assert.deepEqual(
    failures.map(({ name }) => name),
    ['rooms › a member leaves'],
  );
  assert.match(failures[0].text, /received 2$/);
});

test('the failed tests of node are named', () => {
  const output = ['ok 1 - works', 'not ok 2 - breaks', '  ---', '  error: one', '1..2'].join('\n');
  assert.deepEqual(
    failuresOf(output).map(({ name }) => name),
    ['breaks'],
  );
});

test('long texts and many failures are cut, and it is said', () => {
  const blocks = Array.from({ length: 23 }, (_, at) => [
    `  ● test ${at}`,
    ...Array.from({ length: 100 }, () => '    line'),
  ]);
  const text = retold('jest', failuresOf(blocks.flat().join('\n')));
  assert.equal(text.match(/● test/g).length, 20);
  assert.match(text, /and 3 more failed tests\n$/);
  assert.ok(text.split('\n').length < 20 * 45);
});

test('a run without a failed test has nothing to retell', () => {
  assert.equal(retold('jest', failuresOf('PASS a.test.ts\nTests: 1 passed, 1 total')), '');
});
