/** Who of several responders gets a request, with a clock and chances that the test gives. */

import { Choice, NONE } from '../../ts/request/choice';

/** A choice whose random numbers are these, again and again. */
function choiceOf(...numbers: number[]) {
  const clock = { now: 0 };
  let turn = 0;
  const random = () => numbers[turn++ % numbers.length] as number;
  return { clock, choice: new Choice(() => clock.now, random) };
}

test('of two that are drawn, the one with fewer unanswered requests', () => {
  const { choice } = choiceOf(0, 0.99);
  // The first draw is a, and the second, one of the other two, is c.
  expect(choice.among(['a', 'b', 'c'], NONE)).toBe('a');
  choice.asked('a');
  expect(choice.among(['a', 'b', 'c'], NONE)).toBe('c');
  choice.over('a');
  expect(choice.among(['a', 'b', 'c'], NONE)).toBe('a');
});

test('none, one, and those that were tried', () => {
  const { choice } = choiceOf(0);
  expect(choice.among([], NONE)).toBeUndefined();
  expect(choice.among(['a'], NONE)).toBe('a');
  expect(choice.among(['a', 'b'], new Set(['a']))).toBe('b');
  expect(choice.among(['a', 'b'], new Set(['a', 'b']))).toBeUndefined();
});

test('one that was silent is asked only where there is no other, for a lease or until it answers', () => {
  const { choice, clock } = choiceOf(0, 0);
  choice.timedOut('a');
  expect(choice.among(['a', 'b'], NONE)).toBe('b');
  expect(choice.among(['a'], NONE)).toBe('a');
  choice.answered('a');
  expect(choice.among(['a', 'b'], NONE)).toBe('a');
  choice.timedOut('a');
  clock.now = 29_999;
  expect(choice.among(['a', 'b'], NONE)).toBe('b');
  clock.now = 30_000;
  expect(choice.among(['a', 'b'], NONE)).toBe('a');
});

test('no more than a thousand silent ones are remembered', () => {
  const { choice } = choiceOf(0, 0);
  for (let n = 0; n < 1001; n += 1) choice.timedOut(`r${n}`);
  expect(choice.among(['r0', 'r1'], NONE)).toBe('r0');
  expect(choice.among(['r1', 'r0'], NONE)).toBe('r0');
});
