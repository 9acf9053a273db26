/** How often the native side is drained: once in a turn of the event loop, so that timers and sockets have theirs. */

const mockWakes: (() => void)[] = [];

jest.mock(
  '#native',
  () => {
    const { fakeNative, FakeClient } = jest.requireActual('../support/fake-native');
    class Waking extends FakeClient {
      constructor(config: string, env: string, broker: object | null, wake: () => void) {
        super(config, env, broker, wake);
        mockWakes.push(wake);
      }
    }
    return { ...fakeNative(), NativeClient: Waking };
  },
  { virtual: true },
);

import type { ReadConfig } from '../../ts/client/config';
import { openNative } from '../../ts/client/open-native';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function open(drain: () => void) {
  const core = {
    drain: () => {
      drain();
      return true;
    },
  };
  openNative(core, { json: '{}', env: '{}' } as unknown as ReadConfig, null);
  return { core, wake: mockWakes.at(-1) as () => void };
}

test('wakes of one turn lead to a drain at once, and to one in the next turn', async () => {
  let drains = 0;
  const { core, wake } = open(() => {
    drains += 1;
  });
  await turn();
  wake();
  expect(drains).toBe(1);
  wake();
  wake();
  expect(drains).toBe(1);
  await turn();
  expect(drains).toBe(2);
  // Nobody has asked since.
  await turn();
  await turn();
  expect(drains).toBe(2);
  wake();
  expect(drains).toBe(3);
  expect(core).toBeDefined();
});

test('timers run between drains, although each of them leads to the next one', async () => {
  const seen: string[] = [];
  const { core, wake } = open(() => {
    seen.push('drain');
    if (seen.length >= 20) return;
    // A drain takes longer than until the timer is due, and events wait behind it.
    const end = performance.now() + 3;
    while (performance.now() < end);
    wake();
    queueMicrotask(wake);
  });
  // Immediates come last in a turn, so that the timer can be due before the next drain only if it has a turn between.
  await turn();
  const timer = new Promise<void>((resolve) => {
    setTimeout(() => {
      seen.push('timer');
      resolve();
    }, 1);
  });
  wake();
  await timer;
  expect(seen.slice(0, 3)).toEqual(['drain', 'timer', ...seen.slice(2, 3)]);
  expect(core).toBeDefined();
});
