/** A hub and its clients: `createHub` and `mode: 'socket.io'`, over real connections. */

import { type BusEvent, EventBusClient } from '..';
import { createHub, type HubOptions, type SocketIOHub } from '../socket.io';
import { eventually } from './support/eventually';
import { rejection } from './support/rejection';
import { Opened, trusting } from './support/socket-io';
import { onBothTransports } from './support/transports';

const opened = new Opened();
const hubClient = opened.hubClient.bind(opened);
afterEach(() => opened.close());

onBothTransports((fixture) => {
  let bus: EventBusClient;
  let hub: SocketIOHub;

  async function serve(options: HubOptions = trusting, at: { port?: number } = {}) {
    bus = await fixture.open({ serviceName: 'hub' });
    const server = await opened.server(at);
    hub = createHub(server.io, bus, options);
    opened.add(() => hub.close());
    return server;
  }

  test('a service publishes through the hub, another hears it, and so do those on the bus', async () => {
    const { url } = await serve();
    const [one, two] = [hubClient(url), hubClient(url, {}, { serviceName: 'thumbs' })];
    expect(one).toBeInstanceOf(EventBusClient);
    await one.connect();
    const events: BusEvent[] = [];
    const onBus: BusEvent[] = [];
    const subscription = await two.subscribe('photo.*', (event) => void events.push(event));
    await bus.subscribe('photo.*', (event) => void onBus.push(event));
    const result = await one.publish('photo.uploaded', { photoId: 7 }, { key: 'k' });
    expect(result).toMatchObject({ type: 'photo.uploaded', eventId: expect.any(String) });
    await bus.publish('photo.deleted', { photoId: 8 });
    await bus.publish('user.created', {});
    await eventually(() => events.length === 2);
    expect(events[0]).toEqual({
      id: result.eventId,
      type: 'photo.uploaded',
      data: { photoId: 7 },
      metadata: expect.objectContaining({ source: 'photos', key: 'k' }),
    });
    expect(events[1]!.metadata.source).toBe('hub');
    await eventually(() => onBus.length === 2);
    expect(onBus[0]).toEqual(events[0]);
    expect(await subscription.unsubscribe()).toBe(true);
    expect(await subscription.unsubscribe()).toBe(false);
    await eventually(() => hub.stats().patterns === 0);
    await one.publish('photo.uploaded', {});
    expect(events).toHaveLength(2);
    expect(hub.stats()).toMatchObject({ clients: 2, published: 2, eventsSent: 2, denied: 0 });
    expect(one.getStats()).toMatchObject({ mode: 'socket.io', eventsPublished: 2, inFlight: 0 });
    expect(two.getStats()).toMatchObject({ eventsReceived: 2, eventsDelivered: 2 });
  });

  test('bytes cross as they are, between clients of hubs', async () => {
    const { url } = await serve();
    const second = await opened.server();
    const otherBus = await fixture.open();
    const other = createHub(second.io, otherBus, trusting);
    opened.add(() => other.close());
    const events: BusEvent[] = [];
    const onBus: BusEvent[] = [];
    await bus.subscribe('photo.*', (event) => void onBus.push(event));
    await hubClient(second.url).subscribe('photo.*', (event) => void events.push(event));
    const bytes = Buffer.from([0, 1, 254, 255]);
    const publisher = hubClient(url);
    const data = { name: 'a', 'a/b~c': [1, { thumb: bytes }], empty: Buffer.alloc(0) };
    await publisher.publish('photo.uploaded', data, { metadata: { album: 'x' } });
    await publisher.publish('photo.raw', new Uint8Array(bytes).subarray(1));
    await publisher.publish('photo.none', { binary: ['/name'] });
    await eventually(() => events.length === 3);
    expect(events[0]!.data).toEqual(data);
    expect(Buffer.isBuffer((events[0]!.data as any)['a/b~c'][1].thumb)).toBe(true);
    expect(events[0]!.metadata).toMatchObject({ album: 'x' });
    expect(events[0]!.metadata.binary).toBeUndefined();
    expect(events[1]!.data).toEqual(bytes.subarray(1));
    expect(events[2]!.data).toEqual({ binary: ['/name'] });
    await eventually(() => onBus.length === 3);
    expect(onBus[0]).toMatchObject({
      data: { 'a/b~c': [1, { thumb: 'AAH+/w==' }] },
      metadata: { binary: ['/a~1b~0c/1/thumb', '/empty'] },
    });
  });

  test('rooms, users and broadcasts', async () => {
    const { url } = await serve();
    const [ann, bob] = [hubClient(url), hubClient(url)];
    const all: [string, unknown][] = [];
    await ann.subscribe('said', ({ data }) => void all.push(['ann', data]));
    await bob.subscribe('said', ({ data }) => void all.push(['bob', data]));
    const channel: BusEvent[] = [];
    await bob.subscribe('room:a', (event) => void channel.push(event));
    expect(await ann.joinRoom('a', { member: 'ann' })).toBe(true);
    expect(await bob.joinRoom('b')).toBe(true);
    expect(await bob.joinUser('bob')).toBe(true);
    expect(await ann.getRoomMembers('a')).toEqual(['ann']);
    expect(await bus.getRoomMembers('b')).toEqual([`photos:${bob.instanceId}`]);
    await bob.publishToRoom('a', 'said', 1);
    await bus.publishToRoom('b', 'said', 2);
    await ann.publishToUser('bob', 'said', 3);
    await bus.broadcast('said', 4);
    await ann.publishToRoom('nobody', 'said', 5);
    await eventually(() => all.length === 5 && channel.length === 1);
    expect(all.filter(([who]) => who === 'ann')).toEqual([
      ['ann', 1],
      ['ann', 4],
    ]);
    expect(all.filter(([who]) => who === 'bob').map(([, data]) => data)).toEqual([2, 3, 4]);
    expect(channel[0]).toMatchObject({ data: 1, metadata: { room: 'a' } });
    expect(await ann.leaveRoom('a')).toBe(true);
    expect(await ann.leaveRoom('a')).toBe(false);
    await eventually(async () => (await bus.getRoomMembers('a')).length === 0);
    // Who goes leaves, too.
    await bob.disconnect();
    await eventually(async () => (await bus.getRoomMembers('b')).length === 0);
    await eventually(() => hub.stats().rooms === 0);
  });

  test('two members of one room and one member of two clients count as they should', async () => {
    const { url } = await serve();
    const [one, two] = [hubClient(url), hubClient(url)];
    await one.joinRoom('a', { member: 'ann' });
    await two.joinRoom('a', { member: 'ann' });
    await two.joinRoom('a', { member: 'bob' });
    expect(await one.getRoomMembers('a')).toEqual(['ann', 'bob']);
    await two.disconnect();
    await eventually(async () => (await bus.getRoomMembers('a')).length === 1);
    expect(await one.getRoomMembers('a')).toEqual(['ann']);
  });

  test('what authorize does not allow is refused with a code', async () => {
    const told: unknown[] = [];
    const { url } = await serve({
      onError: (error) => told.push(error),
      authorize({ auth }, action) {
        if (action.name === 'connect') return auth.token === 't';
        if (action.name === 'subscribe') {
          if (action.pattern === 'broken') throw new Error('no database');
          return action.pattern !== 'secret';
        }
        if (action.name === 'publish') return action.type === 'plain';
        return 'user' in action ? undefined : ({ allowed: true } as never);
      },
    });
    const stranger = hubClient(url);
    expect(await rejection(stranger.connect())).toMatchObject({ code: 'ERR_BUS_AUTH_FAILED' });
    const client = hubClient(url, { auth: { token: 't' } });
    const denied = { code: 'ERR_BUS_PERMISSION_DENIED' };
    expect(await rejection(client.subscribe('secret', () => {}))).toMatchObject(denied);
    expect(await rejection(client.subscribe(['a', 'secret'], () => {}))).toMatchObject(denied);
    expect(await rejection(client.subscribe('broken', () => {}))).toMatchObject(denied);
    expect(told).toEqual([expect.objectContaining({ message: 'no database' })]);
    expect(await rejection(client.publish('other', 1))).toMatchObject({
      ...denied,
      outcome: 'not_sent',
    });
    expect(await rejection(client.joinRoom('a'))).toMatchObject(denied);
    expect(await rejection(client.joinUser('a'))).toMatchObject(denied);
    expect(await rejection(client.getRoomMembers('a'))).toMatchObject(denied);
    expect(client.subscriberCount()).toBe(0);
    // `true` allows without the options of the client.
    const events: BusEvent[] = [];
    await bus.subscribe('plain', (event) => void events.push(event));
    await client.publish('plain', 1, { userId: 'somebody-else' });
    await eventually(() => events.length === 1);
    expect(events[0]!.metadata.userId).toBeUndefined();
    expect(events[0]!.metadata.source).toBe('hub');
    expect(hub.stats().patterns).toBe(0);
  });

  test('nobody may anything without authorize', async () => {
    const { url } = await serve({});
    expect(await rejection(hubClient(url).connect())).toMatchObject({
      code: 'ERR_BUS_AUTH_FAILED',
    });
    expect(hub.stats().denied).toBeGreaterThan(0);
  });

  test('a handler inherits to what it publishes, and its failures are told', async () => {
    const { url } = await serve();
    const client = hubClient(url);
    const failures: unknown[] = [];
    client.on('handlerError', ({ error, event }) => failures.push([error.code, event]));
    client.on('error', () => {});
    const second: BusEvent[] = [];
    await client.subscribe('second', (event) => void second.push(event));
    await client.subscribe('first', async () => {
      await client.publish('second', 1);
      throw new Error('no');
    });
    const { eventId } = await client.publish('first', null, { correlationId: 'c' });
    await eventually(() => second.length === 1 && failures.length === 1);
    expect(second[0]!.metadata).toMatchObject({ correlationId: 'c', causationId: eventId });
    expect(failures[0]).toEqual([
      'ERR_BUS_HANDLER_FAILED',
      expect.objectContaining({ type: 'first' }),
    ]);
    expect(client.getStats()).toMatchObject({ eventsFailed: 1, eventsDelivered: 1 });
  });

  test('an iterator, an array of patterns, and a pattern of channels', async () => {
    const { url } = await serve();
    const client = hubClient(url);
    const iterator = client.events('n');
    await iterator.ready();
    const both: unknown[] = [];
    await client.subscribe(['a.*', 'a.b'], ({ data }) => void both.push(data));
    const channels: unknown[] = [];
    await client.subscribe('room:*', ({ data }) => void channels.push(data), { by: 'channel' });
    await client.publish('n', 1);
    await client.publish('n', 2);
    await client.publish('a.b', 3);
    await client.publishToRoom('x', 'y', 4);
    expect((await iterator.next()).value!.data).toBe(1);
    for await (const event of iterator) {
      expect(event.data).toBe(2);
      break;
    }
    await eventually(() => both.length === 1 && channels.length === 1);
    expect([both, channels]).toEqual([[3], [4]]);
    await eventually(() => hub.stats().patterns === 2);
  });
});
