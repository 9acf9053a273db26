/** What is known of past events while Redis is away, and how long a history stays on an idle bus. */

import { EventBusClient } from '..';
import { eventually } from './support/eventually';
import { losing } from './support/losing';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

const KEPT = { persistence: { ttl: 60_000 } };
let server: RedisServer;
const clients: EventBusClient[] = [];

async function open(config: object = {}): Promise<EventBusClient> {
  const redis = { url: server.url, commandTimeout: 1500 };
  const client = new EventBusClient({ redis, logger: keepingLogger(), ...config });
  clients.push(client);
  await client.connect();
  return client;
}

beforeEach(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.disconnect({ timeout: 0 });
  await server.kill();
});

test('while Redis is away own events are found, and are not given as all', async () => {
  const [bus, other] = [await open(KEPT), await open(KEPT)];
  const warnings: string[] = [];
  bus.on('warning', ({ code }) => warnings.push(code));
  const own = await bus.publish('a', 1);
  const { eventId } = await other.publish('a', 2);
  const whole = await bus.getHistory();
  expect([whole.map(({ data }) => data), whole.complete]).toEqual([[1, 2], true]);
  await losing(bus, ['publisher', 'consumer'], () => server.kill());
  expect(await bus.getEvent(own.eventId)).toMatchObject({ data: 1 });
  expect(await rejection(bus.getEvent(eventId))).toMatchObject({ outcome: 'not_sent' });
  const part = await bus.getHistory();
  expect([part.map(({ data }) => data), part.complete]).toEqual([[1], false]);
  await eventually(() => warnings.includes('HISTORY_INCOMPLETE'));
  const local = await bus.getHistory({ source: 'local' });
  expect([local.map(({ data }) => data), local.complete]).toEqual([[1], true]);
  await rejection(bus.getHistory({ source: 'redis' }));
});

test('a history is gone with its ttl on an idle bus, and what is older is not given', async () => {
  const bus = await open({ channelPrefix: 'p:', persistence: { ttl: 400 } });
  await bus.publish('a', 1);
  expect(Number((await server.command('PTTL p:history')).slice(1))).toBeGreaterThan(0);
  await eventually(async () => (await bus.getHistory({ source: 'redis' })).length === 0);
  await eventually(async () => (await server.command('EXISTS p:history')) === ':0');
});

test('where nothing keeps past events the question is refused', async () => {
  const bus = await open();
  const error = await rejection(bus.getHistory());
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS' });
});
