/** Rooms and users through JavaScript, in memory and on a real Redis. */

import { EventBusClient } from '..';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { runScript } from './support/scripts';
import { onBothTransports } from './support/transports';

const TTL = 30_000;

onBothTransports((fixture) => {
  /** A client and what its type subscriptions have heard. */
  async function listener(pattern = '*', serviceName = 'api') {
    const bus = await fixture.open({ serviceName });
    const heard: unknown[] = [];
    await bus.subscribe(pattern, (event) => heard.push(event.data));
    return { bus, heard };
  }

  test('a room is heard from the join to the leave', async () => {
    const [{ bus, heard }, { bus: other, heard: elsewhere }] = [await listener(), await listener()];
    await other.publishToRoom('a', 'said', 1);
    expect(await bus.joinRoom('a')).toBe(true);
    const result = await other.publishToRoom('a', 'said', 2, { userId: 'u' });
    expect(result).toMatchObject({ type: 'said', channel: expect.stringMatching(/room:a$/) });
    await eventually(() => heard.length === 1);
    expect(await bus.leaveRoom('a')).toBe(true);
    expect(await bus.leaveRoom('a')).toBe(false);
    await other.publishToRoom('a', 'said', 3);
    await other.publish('said', 4);
    await eventually(() => heard.length === 2 && elsewhere.length === 1);
    expect([heard, elsewhere]).toEqual([[2, 4], [4]]);
  });

  test('the event names its room and its channel', async () => {
    const bus = await fixture.open();
    await bus.joinRoom('a b');
    const got = new Promise<unknown[]>((resolve) => {
      void bus.subscribe('said', (event, ctx) => resolve([event.metadata.room, ctx.channel]));
    });
    await eventually(() => bus.subscriberCount() === 1);
    const { channel } = await bus.publishToRoom('a b', 'said', 1);
    expect(await got).toEqual(['a b', channel]);
  });

  test.each(['a', 'é\u{1f600}', 'a"\\\n'])(
    'an event of the room %j is what others are',
    async (room) => {
      const bus = await fixture.open({ serviceName: 'api' });
      await bus.joinRoom(room);
      const got: unknown[] = [];
      await bus.subscribe('said', (event) => got.push(event));
      const { eventId, timestamp } = await bus.publishToRoom(room, 'said', { n: 1 });
      await eventually(() => got.length === 1);
      const { instanceId } = bus;
      const metadata = { timestamp, source: 'api', instanceId, correlationId: eventId, room };
      expect(got).toEqual([{ id: eventId, type: 'said', data: { n: 1 }, metadata }]);
    },
  );

  test('users', async () => {
    const [{ bus, heard }, { bus: other, heard: elsewhere }] = [await listener(), await listener()];
    expect(await bus.joinUser('u1')).toBe(true);
    expect(await other.joinUser('u2')).toBe(true);
    const { channel } = await other.publishToUser('u1', 'greeted', 1);
    expect(channel).toMatch(/user:u1$/);
    await eventually(() => heard.length === 1);
    expect(await bus.leaveUser('u1')).toBe(true);
    await other.publishToUser('u1', 'greeted', 2);
    await other.publish('end', 3);
    await eventually(() => heard.length === 2 && elsewhere.length === 1);
    expect([heard, elsewhere]).toEqual([[1, 3], [3]]);
  });

  test('members are listed over all clients, sorted, each once', async () => {
    const [{ bus }, { bus: other }] = [await listener('x', 'api'), await listener('x', 'web')];
    await bus.joinRoom('a');
    await Promise.all([
      bus.joinRoom('a', { member: 'Zoe' }),
      other.joinRoom('a', { member: 'Zoe' }),
    ]);
    await other.joinRoom('a', { member: 'ann' });
    const own = `api:${bus.instanceId}`;
    expect(await other.getRoomMembers('a')).toEqual(['Zoe', 'ann', own]);
    expect(await bus.leaveRoom('a', { member: 'Zoe' })).toBe(true);
    expect(await other.getRoomMembers('a')).toEqual(['Zoe', 'ann', own]);
    await bus.disconnect();
    expect(await other.getRoomMembers('a')).toEqual(['Zoe', 'ann']);
    expect(await other.getRoomMembers('b')).toEqual([]);
  });

  test('members who are left out', async () => {
    const { bus, heard } = await listener();
    await bus.joinRoom('a', { member: 'ann' });
    await bus.publishToRoom('a', 'said', 1, { except: ['ann'] });
    await bus.publishToRoom('a', 'said', 2, { except: ['bob'] });
    await eventually(() => heard.length === 1);
    expect(heard).toEqual([2]);
    expect(bus.getStats().eventsSkipped).toBe(1);
  });

  test.each<[string, (bus: EventBusClient) => Promise<unknown>, string]>([
    ['no room', (bus) => bus.joinRoom(undefined as never), 'room'],
    ['an empty room', (bus) => bus.joinRoom(''), 'room'],
    ['a long room', (bus) => bus.leaveRoom('x'.repeat(1025)), 'room'],
    ['a number', (bus) => bus.getRoomMembers(1 as never), 'room'],
    ['no member', (bus) => bus.joinRoom('a', { member: '' }), 'member'],
    ['a member that is no text', (bus) => bus.joinRoom('a', { member: 1 as never }), 'member'],
    ['an unknown option', (bus) => bus.joinRoom('a', { members: 'x' } as never), 'members'],
    ['no user', (bus) => bus.joinUser(''), 'userId'],
    ['a user that is no text', (bus) => bus.leaveUser({} as never), 'userId'],
    ['publish: no room', (bus) => bus.publishToRoom(null as never, 'a', 1), 'room'],
    ['publish: an empty room', (bus) => bus.publishToRoom('', 'a', 1), 'room'],
    ['publish: half a character', (bus) => bus.publishToRoom('\ud800', 'a', 1), 'room'],
    [
      'publish: except',
      (bus) => bus.publishToRoom('a', 'a', 1, { except: 'x' as never }),
      'except',
    ],
    [
      'publish: an exception',
      (bus) => bus.publishToRoom('a', 'a', 1, { except: [''] }),
      'except[0]',
    ],
    [
      'publish: except a user',
      (bus) => bus.publishToUser('a', 'a', 1, { except: [] } as never),
      'except',
    ],
    ['publish: no user', (bus) => bus.publishToUser(7 as never, 'a', 1), 'userId'],
  ])('refused: %s', async (_, call, path) => {
    const bus = await fixture.open();
    const error = await rejection(call(bus));
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS' });
    expect(error.message).toContain(`${path}: `);
    expect(error.stack).toContain('rooms.test.ts');
  });

  test('after disconnect', async () => {
    const bus = await fixture.open();
    await bus.disconnect();
    const code = 'ERR_BUS_CLOSED';
    await expect(bus.joinRoom('a')).rejects.toMatchObject({ code });
    await expect(bus.getRoomMembers('a')).rejects.toMatchObject({ code });
    await expect(bus.publishToRoom('a', 'b', 1)).rejects.toMatchObject({ code });
  });
});

describe('the process', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start();
  });

  afterAll(() => server.stop());

  test('a join keeps it alive, and leaving lets it go', async () => {
    const alive = `const bus = new oxbus.EventBusClient({ redis: args[0], logLevel: 'error' });
      await bus.joinRoom('a');
      console.log('joined');`;
    const kept = await runScript(alive, [server.url], { stays: 1500 });
    expect(kept).toMatchObject({ out: 'joined\n', signal: 'SIGKILL' });
    const gone = await runScript(`${alive} await bus.leaveRoom('a');`, [server.url]);
    expect(gone).toMatchObject({ out: 'joined\n', code: 0 });
  });

  test('joins come back after a restart of the server, and who dies is gone within 30 s', async () => {
    const bus = new EventBusClient({ redis: server.url, logLevel: 'error' });
    try {
      const heard: unknown[] = [];
      await bus.subscribe('said', (event) => heard.push(event.data));
      await bus.joinRoom('b', { member: 'me' });
      const died = `const bus = new oxbus.EventBusClient({ redis: args[0], logLevel: 'error' });
        await bus.joinRoom('b', { member: 'other' });
        process.kill(process.pid, 'SIGKILL');`;
      await runScript(died, [server.url]);
      expect(await bus.getRoomMembers('b')).toEqual(['me', 'other']);
      const left = Number((await server.command('PTTL presence:b')).slice(1));
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(TTL);
      await eventually(
        async () => expect(await bus.getRoomMembers('b')).toEqual(['me']),
        TTL + 2000,
      );
      // Without persistence the server forgets everything.
      await server.kill();
      await server.restart();
      await eventually(async () => expect(await bus.getRoomMembers('b')).toEqual(['me']));
      await eventually(async () => {
        await bus.publishToRoom('b', 'said', 1);
        return heard.length > 0;
      });
    } finally {
      await bus.disconnect();
    }
    expect(await server.command('EXISTS presence:b')).toBe(':0');
  }, 60_000);
});
