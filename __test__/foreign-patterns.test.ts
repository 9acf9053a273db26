/** Patterns in the syntax of other systems are warned of, once for each. */

import { EventBusClient } from '..';
import { RedisServer } from './support/redis-server';
import { keepingLogger } from './support/transports';

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

test('of a stream that is configured', async () => {
  const streams = [
    { name: 'a', events: 'order.#' },
    { name: 'b', events: ['order.#', 'bill.{a,b}', 'mail.*'] },
  ];
  const bus = new EventBusClient({ mode: 'memory', streams, logger: keepingLogger() });
  const warned: string[] = [];
  bus.on('warning', ({ code, message }) => code === 'FOREIGN_PATTERN' && warned.push(message));
  await bus.connect();
  expect(warned.map((message) => /"([^"]+)"/.exec(message)?.[1])).toEqual([
    'order.#',
    'bill.{a,b}',
  ]);
  await bus.disconnect();
});

test.each(['memory', 'redis', 'hybrid'] as const)('in mode %s', async (mode) => {
  const place = mode === 'memory' ? { memory: 'foreign-patterns' } : { redis: server.url };
  const bus = new EventBusClient({ mode, ...place, logger: keepingLogger() });
  const warned: string[] = [];
  bus.on('warning', ({ code, message }) => code === 'FOREIGN_PATTERN' && warned.push(message));
  for (let n = 0; n < 2; n += 1) {
    await bus.subscribe('photo.#', () => {});
    await bus.subscribe(['photo.*', 'user.>'], () => {});
    await bus.subscribe('photo.{a,b}', () => {}, { by: 'channel' });
    await bus.subscribe('room:a{b}', () => {});
    await bus.subscribe('photo.[a-z]?', () => {});
  }
  const events = bus.events('{photo,user}.*');
  await events.ready();
  expect(warned.map((message) => /"([^"]+)"/.exec(message)?.[1])).toEqual([
    'photo.#',
    'user.>',
    '{photo,user}.*',
  ]);
  await bus.disconnect();
});
