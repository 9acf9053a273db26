/** How a test bus ends, and what it tells of what is left over. */

import type { EventBusConfig } from '..';
import { createTestBus, type TestBus } from '../testing';
import { runScript, SOON_ENDED } from './support/scripts';
import { keepingLogger } from './support/transports';

const SHOP: EventBusConfig = {
  serviceName: 'shop',
  streams: [{ name: 'orders', events: 'order.*' }],
};

let bus: TestBus;
const create = (config: EventBusConfig = {}) => {
  bus = createTestBus({ logger: keepingLogger(), ...SHOP, ...config });
  return bus;
};

/** What is left over, in short. */
const left = () =>
  bus.undelivered().map(({ type, state, group }) => [type, state, ...(group ? [group] : [])]);

/** Disconnects, which must take no longer than so many ms of real time, less than the second of handlers that hang; nothing may wait for the clock, nor move it. */
async function disconnects(limit = 900): Promise<void> {
  const [began, now] = [performance.now(), bus.now()];
  await bus.disconnect();
  expect(performance.now() - began).toBeLessThan(limit);
  expect(bus.now()).toBe(now);
}

const billing = { group: 'billing' };
const hangs = () => new Promise<void>(() => {});

describe('it ends at once, and tells what is left over', () => {
  test.each([[false], [true]])(
    'a follow-up event that nobody takes (settled: %p)',
    async (settle) => {
      create();
      await bus.subscribe('order.placed', () => bus.publish('order.paid', 1), billing);
      await bus.publish('order.placed', 1);
      if (settle) await bus.settled();
      await disconnects();
      if (settle) {
        expect(bus.undelivered()).toMatchObject([
          { type: 'order.paid', data: 1, state: 'unhandled', stream: 'orders' },
        ]);
        expect(bus.undelivered()[0]?.messageId).toMatch(/^\d+-\d+$/);
      }
    },
  );

  test('a retry that is not due', async () => {
    create();
    const failing = () => {
      throw new Error('not yet');
    };
    await bus.subscribe('order.*', failing, billing);
    await bus.publish('order.placed', 1);
    await bus.settled();
    expect(left()).toEqual([['order.placed', 'pending', 'billing']]);
    await disconnects();
    expect(left()).toEqual([['order.placed', 'pending', 'billing']]);
  });

  test('a dead letter is not among them', async () => {
    create();
    const failing = () => {
      throw new Error('never');
    };
    await bus.subscribe('order.*', failing, { ...billing, maxRetries: 0 });
    await bus.publish('order.placed', 1);
    await bus.settled();
    expect(await bus.deadLetters.count()).toBe(1);
    expect(left()).toEqual([]);
    await disconnects();
  });

  test('a batch that waits for more', async () => {
    create();
    const batch = { size: 10, wait: 60_000 };
    await bus.subscribe('order.*', () => {}, { ...billing, batch });
    await bus.publish('order.placed', 1);
    await bus.settled();
    await disconnects();
    expect(left()).toEqual([['order.placed', 'pending', 'billing']]);
  });

  test('an event in the hand of an iterator', async () => {
    create();
    const events = bus.events('order.*', billing);
    await events.ready();
    await bus.publish('order.placed', 1);
    expect((await events.next()).value).toMatchObject({ type: 'order.placed' });
    await disconnects();
    expect(left()).toEqual([['order.placed', 'pending', 'billing']]);
  });

  test('a paused subscription, and a group without one', async () => {
    create({ streams: [{ name: 'orders', events: 'order.*', consumerGroups: ['audit'] }] });
    const paused = await bus.subscribe('order.*', () => {}, billing);
    paused.pause();
    await bus.publish('order.placed', 1);
    await bus.settled();
    await disconnects();
    expect(left()).toEqual([
      ['order.placed', 'unread', 'audit'],
      ['order.placed', 'pending', 'billing'],
    ]);
  });

  test('handlers that hang, live and durable, of all clients, have a second', async () => {
    create();
    const other = bus.client(SHOP);
    await bus.subscribe('live', hangs);
    await other.subscribe('order.*', hangs, billing);
    await bus.publish('live', 1);
    await bus.publish('order.placed', 1);
    await disconnects(5000);
    expect(other.state).toBe('closed');
    expect(left()).toEqual([['order.placed', 'pending', 'billing']]);
  });

  test('a handler that waits for something real is waited for', async () => {
    create();
    let handled = false;
    await bus.subscribe('live', async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      handled = true;
    });
    await bus.publish('live', 1);
    await disconnects();
    expect(handled).toBe(true);
  });

  test('a group on another client that takes only a part', async () => {
    create();
    const other = bus.client(SHOP);
    await bus.subscribe('order.placed', () => {}, billing);
    await other.subscribe('order.paid', () => {}, billing);
    await other.disconnect();
    await bus.publish('order.placed', 1);
    await bus.publish('order.paid', 1);
    await bus.settled();
    expect(left()).toEqual([['order.paid', 'pending', 'billing']]);
    await disconnects();
  });
});

test('what is live counts too, in the order of publishing, whoever publishes', async () => {
  create();
  const other = bus.client<{ 'other.event': number }>();
  await bus.subscribe('heard', () => {});
  await bus.publish('unheard', 1);
  await bus.publish('heard', 1);
  await bus.publishToRoom('empty', 'heard', 2);
  await other.publish('other.event', 3);
  await bus.settled();
  expect(left()).toEqual([
    ['unheard', 'unhandled'],
    ['heard', 'unhandled'],
    ['other.event', 'unhandled'],
  ]);
  expect(bus.undelivered('h*').map(({ data }) => data)).toEqual([2]);
  expect(() => bus.undelivered(5 as never)).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_PATTERN' }),
  );
  expect(other.published().map(({ type }) => type)).toEqual(['other.event']);
  await disconnects();
});

test('what is replayed and not handled is among them', async () => {
  create();
  let failing = true;
  const subscription = await bus.subscribe(
    'order.*',
    () => {
      if (failing) throw new Error('not yet');
    },
    { ...billing, maxRetries: 0 },
  );
  await bus.publish('order.placed', 1);
  await bus.settled();
  failing = false;
  subscription.pause();
  expect(await bus.deadLetters.replayAll()).toBe(1);
  await bus.settled();
  expect(left()).toEqual([['order.placed', 'pending', 'billing']]);
  subscription.resume();
  await bus.settled();
  expect(left()).toEqual([]);
  await disconnects();
});

test('wrong options of disconnect change nothing', async () => {
  create();
  const other = bus.client();
  await expect(bus.disconnect({ timeout: -1 })).rejects.toMatchObject({ path: 'timeout' });
  await expect(bus.disconnect('soon' as never)).rejects.toMatchObject({
    code: 'ERR_BUS_INVALID_OPTIONS',
  });
  expect([bus.state, other.state]).toEqual(['idle', 'idle']);
  await disconnects();
});

test('a test bus with subscriptions, iterators and joins does not keep the process alive', async () => {
  const code = `const { createTestBus } = require(args[0]);
    const bus = createTestBus({ logLevel: 'error', streams: [{ name: 'orders', events: 'order.*' }] });
    const other = bus.client();
    await bus.subscribe('order.placed', () => bus.publish('order.paid', 1), { group: 'billing' });
    await other.subscribe('*', () => new Promise(() => {}));
    await bus.joinRoom('room');
    bus.events('x').next();
    await bus.publish('order.placed', 1);
    console.log(Date.now());`;
  const ended = await runScript(code, [require.resolve('../testing.js')]);
  expect(ended).toMatchObject({ code: 0, signal: null, err: '' });
  expect(ended.at - Number(ended.out)).toBeLessThan(SOON_ENDED);
});
