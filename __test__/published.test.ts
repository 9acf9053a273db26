/**
 * `TestBus.published()` shows the event that the engine has made. The face puts it together a second time, so these
 * tests compare it with the event that a handler receives.
 */

import type { BusEvent, PublishOptions } from '..';
import { createTestBus, type TestBus } from '../testing';
import { keepingLogger } from './support/transports';

const STREAM = { name: 'orders', events: 'order.*' };
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

let bus: TestBus;
let received: BusEvent[];
beforeEach(async () => {
  bus = createTestBus({ logger: keepingLogger(), serviceName: 'shop', streams: [STREAM] });
  received = [];
  await bus.subscribe('*', (event) => {
    received.push(event);
  });
});

afterEach(() => bus.disconnect());

/** What was published, next to what has arrived. */
async function both(): Promise<{ published: BusEvent[]; received: BusEvent[] }> {
  await bus.settled();
  return { published: bus.published(), received };
}

const OPTIONS: [string, PublishOptions | undefined][] = [
  ['none', undefined],
  ['an id', { id: 'own-id' }],
  ['a timestamp as text', { timestamp: '2026-02-03T04:05:06+01:00' }],
  ['a timestamp as a number', { timestamp: 5 }],
  ['a timestamp as a Date', { timestamp: new Date(86_400_000) }],
  ['a source', { source: 'elsewhere' }],
  ['a correlation', { correlationId: 'c' }],
  ['a correlation that is the id', { id: 'same', correlationId: 'same' }],
  ['a cause', { causationId: 'b' }],
  ['correlation and cause', { correlationId: 'c', causationId: 'b' }],
  ['a user and an organization', { userId: 'u', organizationId: 'o' }],
  ['a trace', { traceparent: TRACE, tracestate: 'vendor=1' }],
  ['metadata of its own', { metadata: { tenant: 7, nested: { list: [1, null, 'x'] } } }],
  ['a key', { key: 'customer-1' }],
  ['a time limit', { timeout: 500 }],
  ['undefined members', { id: undefined, userId: undefined, metadata: undefined }],
  [
    'all of them',
    {
      id: 'all',
      timestamp: 1,
      source: 's',
      correlationId: 'c',
      causationId: 'b',
      userId: 'u',
      organizationId: 'o',
      traceparent: TRACE,
      tracestate: 'vendor=1',
      metadata: { extra: true },
      key: 'k',
    },
  ],
];

describe.each([['live'], ['order.placed']])('an event of type %s', (type) => {
  test.each(OPTIONS)('with these options: %s', async (_, options) => {
    await bus.publish(type, { text: 'ä "quoted" \u2028', n: -1.5e30, list: [[], {}] }, options);
    const events = await both();
    expect(events.received).toHaveLength(1);
    expect(events.published).toEqual(events.received);
  });
});

test.each([[null], [true], [0], ['text'], [[1, [2]]], [{}], ['\ud800']])(
  'the data %j',
  async (data) => {
    await bus.publish('live', data);
    const events = await both();
    expect(events.received).toHaveLength(1);
    expect(events.published).toEqual(events.received);
  },
);

test('events that are published in a handler', async () => {
  await bus.subscribe('cause', async () => {
    await bus.publish('effect', 1);
    await bus.publish('effect', 2, { userId: 'u' });
  });
  await bus.publish('cause', 0, { correlationId: 'c' });
  const events = await both();
  expect(events.received).toHaveLength(3);
  expect(events.published).toEqual(events.received);
});

test('a broadcast, and events for a user and a room', async () => {
  const joined: BusEvent[] = [];
  await bus.joinUser('u1');
  await bus.joinRoom('r1');
  await bus.subscribe('told', (event) => {
    joined.push(event);
  });
  await bus.broadcast('told', 1);
  await bus.publishToUser('u1', 'told', 2, { userId: 'u1' });
  await bus.publishToRoom('r1', 'told', 3);
  await bus.publishToRoom('r1', 'told', 4, { except: [] });
  await bus.publishToRoom('r1', 'told', 5, { except: ['someone'], metadata: { more: 1 } });
  await bus.settled();
  expect(joined.map(({ data }) => data)).toEqual([1, 2, 3, 4, 5]);
  expect(bus.published('told')).toEqual(joined);
});
