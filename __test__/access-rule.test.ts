/** The access rule of the guide to operations is enough for all that the bus does, and for no other pattern. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EventBusClient, type EventBusConfig } from '..';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

const GUIDE = readFileSync(join(__dirname, '..', 'docs', 'operations.md'), 'utf8');

let server: RedisServer;
const clients: EventBusClient[] = [];

/** A client of the user of the rule. */
function client(config: EventBusConfig): EventBusClient {
  const redis = { url: server.url, username: 'bus', password: 'secret' };
  const made = new EventBusClient({
    redis,
    channelPrefix: 'app:',
    logger: keepingLogger(),
    ...config,
  });
  clients.push(made);
  return made;
}

beforeAll(async () => {
  const [, rule] = GUIDE.match(/^user (bus on >secret .*)$/m) ?? [];
  server = await RedisServer.start();
  expect(await server.command(`ACL SETUSER ${rule}`)).toBe('+OK');
});

afterEach(() => Promise.all(clients.splice(0).map((bus) => bus.disconnect())));
afterAll(() => server.stop());

test('what it allows is enough', async () => {
  const bus = client({
    streams: [
      { name: 'orders', events: 'order.*', consumerGroups: ['billing'] },
      { name: 'mails', events: 'mail.*', retention: 'time', retentionValue: 60_000 },
    ],
    persistence: { ttl: 60_000, history: true },
  });
  const faults: string[] = [];
  bus.on('error', ({ code }) => faults.push(code));
  await bus.connect();
  const heard: string[] = [];
  const hear = (by: string) => (event: { type: string }) => heard.push(`${by} ${event.type}`);
  await bus.subscribe('order.paid', hear('type'));
  await bus.subscribe('order.*', hear('pattern'));
  await bus.subscribe('*', hear('all'));
  let fails = true;
  await bus.subscribe(
    'order.*',
    () => {
      if (fails) throw new Error('as the test wants');
    },
    { group: 'billing', maxRetries: 1, retry: { initialDelay: 1 } },
  );
  const dead = new Promise((resolve) => bus.once('deadLetter', resolve));
  await bus.joinRoom('lobby', { member: 'ann' });
  await bus.joinUser('ann');
  const { eventId } = await bus.publish('order.paid', 1);
  await bus.publishToRoom('lobby', 'said', 1);
  await bus.publishToUser('ann', 'told', 1);
  await bus.broadcast('news', 1);
  await bus.publish('mail.sent', 1, { id: 'one', deduplicate: true });
  await eventually(() => heard.length === 7);
  expect(heard.sort()).toEqual(
    ['all mail.sent', 'all news', 'all order.paid', 'all said', 'all told'].concat([
      'pattern order.paid',
      'type order.paid',
    ]),
  );
  await dead;
  fails = false;
  expect(await bus.deadLetters.replayAll({ stream: 'orders' })).toBe(1);
  await eventually(async () => (await bus.streams.pending('orders', 'billing')).length === 0);
  expect(await bus.getRoomMembers('lobby')).toEqual(['ann']);
  expect(await bus.getEvent(eventId)).toMatchObject({ type: 'order.paid' });
  expect(await bus.getHistory({ type: 'order.paid' })).toHaveLength(1);
  expect((await bus.streams.list()).map(({ name }) => name)).toEqual(['orders', 'mails']);
  expect((await rejection(bus.publish('order.paid', 2, { replicas: 1, timeout: 50 }))).code).toBe(
    'ERR_BUS_NOT_REPLICATED',
  );
  const { status, redis } = await bus.healthCheck();
  expect([status, redis?.role]).toEqual(['healthy', 'master']);
  // That of the handler, which is meant.
  expect(faults).toEqual(['ERR_BUS_HANDLER_FAILED']);
});

test('a pattern that is not in it by its text is refused', async () => {
  const bus = client({});
  await bus.connect();
  const refused = await rejection(bus.subscribe('mail.*', () => {}));
  expect(refused.code).toBe('ERR_BUS_SUBSCRIBE_DENIED');
  await bus.subscribe('mail.sent', () => {});
});
