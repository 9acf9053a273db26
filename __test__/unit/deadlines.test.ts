/** Time limits that share timers, by a clock that the test moves. */

import { Deadlines } from '../../ts/runtime/deadlines';
import type { Timer, Timers } from '../../ts/runtime/timers';

class Clock implements Timers {
  time = 0;
  made = 0;
  readonly waiting = new Set<{ at: number; run: () => void; unref(): void }>();

  now(): number {
    return this.time;
  }

  set(run: () => void, delay: number): Timer {
    this.made += 1;
    const timer = { at: this.time + delay, run, unref() {} };
    this.waiting.add(timer);
    return timer;
  }

  clear(timer: Timer | undefined): void {
    this.waiting.delete(timer as never);
  }

  moveTo(time: number): void {
    this.time = time;
    for (const timer of [...this.waiting]) {
      if (timer.at <= time && this.waiting.delete(timer)) timer.run();
    }
  }
}

function setUp() {
  const clock = new Clock();
  const over: unknown[] = [];
  const deadlines = new Deadlines(clock);
  const set = (name: unknown, length: number) =>
    deadlines.set({ timedOut: () => over.push(name) }, length);
  return { clock, over, deadlines, set };
}

test('calls of one length that end in time need one timer', () => {
  const { clock, over, deadlines, set } = setUp();
  for (let n = 0; n < 1000; n += 1) {
    clock.moveTo(n / 10);
    deadlines.clear(set(n, 5000));
  }
  expect([clock.made, clock.waiting.size]).toEqual([1, 1]);
  clock.moveTo(5000);
  expect([over, clock.waiting.size]).toEqual([[], 0]);
  set('later', 5000);
  expect(clock.made).toBe(2);
});

test('each is over in its time, in their order, and once', () => {
  const { clock, over, deadlines, set } = setUp();
  set(1, 100);
  clock.moveTo(10);
  const second = set(2, 100);
  set(3, 20);
  clock.moveTo(20);
  set(4, 100);
  deadlines.clear(second);
  deadlines.clear(second);
  for (const [time, expected] of [
    [29, []],
    [30, [3]],
    [99, [3]],
    [100, [3, 1]],
    [119, [3, 1]],
    [120, [3, 1, 4]],
    [1000, [3, 1, 4]],
  ] as const) {
    clock.moveTo(time);
    expect(over).toEqual(expected);
  }
  expect(clock.waiting.size).toBe(0);
});

test('what sets the next limit when its time is over is in time itself', () => {
  const { clock, over, deadlines } = setUp();
  const again = {
    timedOut() {
      over.push(clock.time);
      if (over.length < 3) deadlines.set(again, 10);
    },
  };
  deadlines.set(again, 10);
  for (let time = 1; time < 50; time += 1) clock.moveTo(time);
  expect(over).toEqual([10, 20, 30]);
});

test('of many lengths each is kept too, and a long one leaves no timer behind', () => {
  const { clock, over, deadlines, set } = setUp();
  const all = Array.from({ length: 300 }, (_, n) => set(n, 1000 + n));
  for (const one of all.slice(0, 299)) deadlines.clear(one);
  clock.moveTo(1298);
  expect(over).toEqual([]);
  clock.moveTo(1299);
  expect(over).toEqual([299]);
  const { size } = clock.waiting;
  deadlines.clear(set('long', 3_600_000));
  expect(clock.waiting.size).toBe(size);
});
