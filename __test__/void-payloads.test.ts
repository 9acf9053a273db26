/** Events without data: they arrive with null. Data that is undefined is refused as before. */

import { createTestBus } from '../testing';

type Events = {
  // biome-ignore lint/suspicious/noConfusingVoidType: an event without data
  ping: void;
};

test('what is published without data arrives with null', async () => {
  await using bus = createTestBus<Events>({ logLevel: 'error' });
  const seen: unknown[] = [];
  await bus.joinRoom('room');
  await bus.joinUser('user');
  await bus.subscribe('ping', (event) => seen.push(event.data));
  await bus.publish('ping');
  await bus.publish('ping', null, { key: 'k' });
  await bus.broadcast('ping');
  await bus.publishToRoom('room', 'ping');
  await bus.publishToUser('user', 'ping');
  await bus.settled();
  expect(seen).toEqual([null, null, null, null, null]);
});

test.each(['publish', 'broadcast'] as const)(
  '%s refuses data that is undefined',
  async (method) => {
    await using bus = createTestBus({ logLevel: 'error' });
    await expect(bus[method]('ping', undefined)).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
      path: 'data',
    });
  },
);
