/** Clients with several wires: each event once, beside clients and doubles that have one of them. */

import type { Cluster, Redis } from 'ioredis';
import { type BusEvent, EventBusClient, type EventBusConfig, type WireLists } from '../..';
import { eventually } from '../support/eventually';
import { rejection } from '../support/rejection';
import { keepingLogger } from '../support/transports';
import { wireServers } from '../support/wire-servers';

const oxbus = { format: 'oxbus', channelPrefix: 'ox:' } as const;
const both: WireLists = { read: ['campaign', oxbus], write: ['campaign', oxbus] };
const moved: EventBusConfig = { wire: 'oxbus', channelPrefix: 'ox:' };
const status = 'campaign.status.changed';

/** Collects the ids that a handler was called with. */
async function listen(
  bus: EventBusClient,
  pattern: string,
  options: { noEcho?: boolean; group?: string } = {},
): Promise<string[]> {
  const ids: string[] = [];
  await bus.subscribe(pattern, ({ id }: BusEvent) => void ids.push(id), options);
  return ids;
}

describe.each(wireServers)('on %s', (_, make) => {
  const servers = make();
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(() => servers.start(), 60_000);

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await servers.empty();
  });

  afterAll(() => servers.stop());

  async function client(config: EventBusConfig): Promise<EventBusClient> {
    const memory = config.mode === 'memory' ? {} : { redis: servers.redis };
    const bus = new EventBusClient({ ...memory, logger: keepingLogger(), ...config });
    closing.push(() => bus.disconnect());
    await bus.connect();
    return bus;
  }

  function closed<T extends Redis | Cluster>(redis: T): T {
    closing.push(async () => redis.disconnect());
    return redis;
  }

  const commands = () => closed(servers.commands());
  const subscriber = () => closed(servers.subscriber());

  test('each event is published once in each wire, and each handler gets it once', async () => {
    const redis = subscriber();
    const heard: [string, Record<string, unknown>][] = [];
    redis.on('pmessage', (_pattern, on, text) => heard.push([on, JSON.parse(text)]));
    await redis.psubscribe('*');
    const clients = await Promise.all([
      client({ wire: both }),
      client({ wire: { ...both, write: ['campaign'] } }),
      client({ wire: { ...both, write: [oxbus] } }),
      client({ wire: 'campaign' }),
      client(moved),
    ]);
    const ids = await Promise.all(clients.map((bus) => listen(bus, '*')));
    const [first, old, fresh, campaign, last] = clients as [EventBusClient, ...EventBusClient[]];
    await first.publish(status, { campaignId: '7' }, { id: 'both' });
    await old?.publish(status, { campaignId: '7' }, { id: 'old' });
    await fresh?.publish(status, { campaignId: '7' }, { id: 'new' });
    await campaign?.publish(status, { campaignId: '7' }, { id: 'campaign' });
    await last?.publish(status, { campaignId: '7' }, { id: 'last' });
    const result = await first.publish('end', null, { id: 'end' });
    expect(result.channel).toBe('end');
    // On a Cluster those of different publishers may overtake each other.
    await eventually(() => [6, 6, 6, 4, 4].every((count, at) => ids[at]?.length === count));
    const all = ['both', 'campaign', 'end', 'last', 'new', 'old'];
    expect(ids.map((each) => each.sort())).toEqual([
      all,
      all,
      all,
      ['both', 'campaign', 'end', 'old'],
      ['both', 'end', 'last', 'new'],
    ]);
    const of = (id: string) => heard.filter(([, text]) => JSON.stringify(text).includes(`"${id}"`));
    await eventually(() => of('end').length === 2);
    expect(of('both').map(([on]) => on)).toEqual([
      'campaign:7',
      'campaign:7:status',
      'ox:campaign.status.changed',
    ]);
    expect(of('both').map(([, text]) => Object.keys(text))).toEqual([
      ['metadata', 'data'],
      ['metadata', 'data'],
      ['id', 'type', 'data', 'metadata'],
    ]);
  });

  test('rooms, users and broadcasts go and come in every wire', async () => {
    const [bus, campaign, last] = await Promise.all([
      client({ wire: both }),
      client({ wire: 'campaign' }),
      client(moved),
    ]);
    const clients = [bus, campaign, last];
    const ids = await Promise.all(clients.map((each) => listen(each, '*')));
    const rooms = await listen(bus, 'room:*');
    await Promise.all(clients.map((each) => each.joinRoom('a', { member: 'm' })));
    await Promise.all(clients.map((each) => each.joinUser('u')));
    for (const [name, each] of [
      ['both', bus],
      ['old', campaign],
      ['new', last],
    ] as const) {
      await each.publishToRoom('a', 'x', {}, { id: `${name} room` });
      await each.publishToUser('u', 'x', {}, { id: `${name} user` });
      await each.broadcast('x', {}, { id: `${name} all` });
    }
    await eventually(() => ids[0]?.length === 9 && ids[1]?.length === 6 && ids[2]?.length === 6);
    expect(ids[1]?.every((id) => !id.startsWith('new'))).toBe(true);
    expect(ids[2]?.every((id) => !id.startsWith('old'))).toBe(true);
    expect(rooms).toEqual(['both room', 'old room', 'new room']);
    expect(await bus.leaveRoom('a', { member: 'm' })).toBe(true);
    await campaign.publishToRoom('a', 'x', {}, { id: 'left' });
    await campaign.publish('x', {}, { id: 'end' });
    await eventually(() => ids[0]?.includes('end') === true);
    expect(ids[0]).not.toContain('left');
  });

  test('a client does not hear itself where it asks for that, in any wire', async () => {
    const fields = { write: { uid: 'id', kind: 'type', body: 'data' } };
    for (const wire of [both, { read: [{ fields }, oxbus], write: [{ fields }, oxbus] }]) {
      const bus = await client({ wire });
      const quiet = await listen(bus, '*', { noEcho: true });
      const all = await listen(bus, '*');
      const hybrid = await client({ wire, mode: 'hybrid' });
      const local = await listen(hybrid, '*');
      await bus.publish('a', {}, { id: 'own' });
      const result = await hybrid.publish('a', {}, { id: 'theirs' });
      expect(result.local).toBe(1);
      await hybrid.publish('a', {}, { id: 'remote', redisOnly: true });
      await bus.publish('a', {}, { id: 'end' });
      await eventually(() => local.includes('end') && all.includes('end'));
      expect(quiet).toEqual(['theirs', 'remote']);
      expect(all).toEqual(['own', 'theirs', 'remote', 'end']);
      expect(local.sort()).toEqual(['end', 'own', 'theirs']);
      await hybrid.disconnect();
      await bus.disconnect();
    }
  });

  test('streams are written in the first format and read in all', async () => {
    const streams = [{ name: 's', events: ['order.*'] }];
    const wire: WireLists = { read: ['oxbus', 'eventsource'], write: ['eventsource', 'oxbus'] };
    const bus = await client({ wire, streams, persistence: {} });
    const ids = await listen(bus, 'order.*', { group: 'g' });
    const live = await listen(bus, 'order.*');
    await bus.publish('order.a', { n: 1 }, { id: 'first', key: 'k' });
    const redis = commands();
    const [entry] = await redis.xrange('s', '-', '+');
    expect(entry?.[1]).toEqual(expect.arrayContaining(['event_id', 'first', 'payload']));
    const ours = await client({ streams, persistence: {} });
    await ours.publish('order.b', { n: 2 }, { id: 'second' });
    await eventually(() => ids.length === 2 && live.length === 2);
    expect([ids.sort(), live.sort()]).toEqual([
      ['first', 'second'],
      ['first', 'second'],
    ]);
    expect(await bus.getEvent('second')).toMatchObject({ data: { n: 2 } });
    expect(await bus.getEvent('first')).toMatchObject({ data: { n: 1 } });
    // One that has heard neither reads what is kept.
    const other = await client({ wire, streams, persistence: {} });
    expect(await other.getEvent('second')).toMatchObject({ data: { n: 2 } });
    expect(await other.getEvent('first')).toMatchObject({ data: { n: 1 } });
    expect((await bus.streams.info('s')).groups?.[0]?.pending).toBe(0);
  });

  test('a duplicate is published in no wire', async () => {
    const redis = subscriber();
    const heard: string[] = [];
    redis.on('pmessage', (_pattern, on) => heard.push(on));
    await redis.psubscribe('*');
    const bus = await client({ wire: both, streams: [{ name: 's', events: ['*'] }] });
    const ids = await listen(bus, status);
    for (const _ of [1, 2]) {
      const options = { id: 'one', deduplicate: true };
      await bus.publish(status, { campaignId: '7' }, options);
    }
    await bus.publish('end', null, { stream: false });
    await eventually(() => heard.includes('ox:end'));
    const ofEnd = ['notifications:general', 'ox:end'];
    expect(heard.filter((on) => !ofEnd.includes(on))).toEqual([
      'campaign:7',
      'campaign:7:status',
      'ox:campaign.status.changed',
    ]);
    expect(ids).toEqual(['one']);
  });

  test('late patterns, dead letters and replays hold for entries of every format', async () => {
    const streams = [{ name: 's', events: ['order.*'] }];
    const wire: WireLists = { read: ['oxbus', 'eventsource'], write: ['oxbus'] };
    const bus = await client({ wire, streams });
    const redis = commands();
    const stores = (type: string, id: string) => {
      const payload = JSON.stringify({ event_id: id, event_type: type, aggregate_id: 'k', n: 1 });
      return redis.xadd('s', '*', 'event_id', id, 'event_type', type, 'payload', payload);
    };
    const first = await listen(bus, 'order.a', { group: 'g' });
    await stores('order.b', 'theirs');
    await bus.publish('order.b', { n: 1 }, { id: 'ours' });
    await stores('order.a', 'end');
    await eventually(() => first.includes('end') && bus.getStats().eventsSkipped === 2);
    const late = await listen(bus, 'order.b', { group: 'g' });
    await eventually(() => late.length === 2);
    expect(late.sort()).toEqual(['ours', 'theirs']);

    let fails = true;
    const handled: unknown[] = [];
    const handler = ({ id, data }: BusEvent) => {
      if (fails) throw new Error('no');
      handled.push([id, data]);
    };
    await bus.subscribe('order.c', handler, { group: 'h', maxRetries: 0 });
    await stores('order.c', 'theirs');
    await bus.publish('order.c', { n: 1 }, { id: 'ours' });
    await eventually(async () => (await bus.deadLetters.count('s')) === 2);
    const letters = await bus.deadLetters.list({ stream: 's' });
    expect(letters.map(({ event }) => [event?.id, event?.data]).sort()).toEqual([
      ['ours', { n: 1 }],
      ['theirs', { n: 1 }],
    ]);
    fails = false;
    for (const { id } of letters) await bus.deadLetters.replay(id);
    await eventually(() => handled.length === 2);
    expect(handled.sort()).toEqual([
      ['ours', { n: 1 }],
      ['theirs', { n: 1 }],
    ]);
  });

  test('one wire whose events go to several channels reaches each handler once', async () => {
    const bus = await client({ wire: 'campaign' });
    const ids = await listen(bus, '*');
    for (let n = 0; n < 20; n += 1) {
      await bus.publish(status, { campaignId: String(n) }, { id: `${n}` });
      await bus.publish('x', null, { id: `${n} x` });
    }
    await eventually(() => ids.includes('19 x'));
    const expected = Array.from({ length: 20 }, (_, n) => [`${n}`, `${n} x`]).flat();
    expect(ids).toEqual(expected);
  });

  test('what was missed is read from streams, once', async () => {
    const streams = [{ name: 's', events: ['*'] }];
    const bus = await client({ wire: both, streams });
    const ids = await listen(bus, status);
    const writer = commands();
    await bus.publish(status, { campaignId: '7' }, { id: 'before' });
    await eventually(() => ids.includes('before'));
    const gaps: { recovered: number; complete: boolean }[] = [];
    bus.on('gap', (gap) => void gaps.push(gap));
    // Nobody published it, and what was missed reaches back behind the last heartbeat.
    const fields = ['eventId', 'missed', 'eventType', status, 'data', '{"campaignId":"7"}'];
    await writer.xadd('s', '*', ...fields);
    await servers.cutSubscribers();
    await eventually(() => gaps.length > 0);
    expect(gaps[0]).toMatchObject({ recovered: 1, complete: true });
    expect(ids).toEqual(['before', 'missed']);
    await bus.publish(status, { campaignId: '7' }, { id: 'after' });
    await eventually(() => ids.includes('after'));
    expect(ids).toEqual(['before', 'missed', 'after']);
  });

  test('what was missed does not bring a hybrid client its own events again', async () => {
    const streams = [{ name: 's', events: ['*'] }];
    const bus = await client({ wire: both, streams, mode: 'hybrid' });
    const ids = await listen(bus, status);
    await eventually(() => bus.getStats().mode === 'hybrid');
    const gaps: unknown[] = [];
    bus.on('gap', (gap) => void gaps.push(gap));
    await bus.publish(status, { campaignId: '7' }, { id: 'own' });
    const fields = ['eventId', 'missed', 'eventType', status, 'data', '{"campaignId":"7"}'];
    await commands().xadd('s', '*', ...fields);
    await servers.cutSubscribers();
    await eventually(() => gaps.length > 0);
    expect(ids).toEqual(['own', 'missed']);
  });

  test('an event for the channel of another wire is refused before anything is sent', async () => {
    const bus = await client({ wire: { read: [oxbus], write: ['photo', oxbus] } });
    const error = await rejection(bus.publish('ox:a', {}));
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_DATA', outcome: 'not_sent' });
    expect(error.message).toContain('ox:a');
  });

  test('of formats with one prefix the first reads that can', async () => {
    const bus = await client({ wire: { read: ['campaign', 'oxbus'], write: ['campaign'] } });
    const ids = await listen(bus, '*');
    const ours = await client({});
    await ours.publish('a', {}, { id: 'ours' });
    await bus.publish('a', {}, { id: 'theirs' });
    const redis = commands();
    await redis.publish('a', '{"kind":"neither"}');
    await eventually(() => ids.length === 2 && bus.getStats().eventsForeign === 1);
    expect(ids.sort()).toEqual(['ours', 'theirs']);
  });

  test('the channels of one event stand instead of those of its type, in every wire', async () => {
    const redis = subscriber();
    const heard: string[] = [];
    redis.on('pmessage', (_pattern, on) => heard.push(on));
    await redis.psubscribe('*');
    const bus = await client({ wire: both });
    const result = await bus.publish(status, {}, { channels: ['a', 'b', 'a'], id: 'e1' });
    expect(result.channel).toBe('a');
    await eventually(() => heard.length === 4);
    expect(heard).toEqual(['a', 'b', 'ox:a', 'ox:b']);
    for (const bad of [[], ['room:a'], ['a\n'], [1]]) {
      const error = await rejection(bus.publish('x', {}, { channels: bad as string[] }));
      expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', outcome: 'not_sent' });
    }
  });

  test.each<[EventBusConfig]>([[{}], [{ mode: 'hybrid' }], [{ mode: 'memory' }]])(
    'channels of one event: %j',
    async (config) => {
      const streams = [{ name: 's', events: ['stored'], realtime: true }];
      const bus = await client({ ...config, streams });
      const ids: string[] = [];
      const add = (event: BusEvent) => void ids.push(event.id);
      await bus.subscribe('x:*', add, { by: 'channel' });
      await bus.subscribe('other', add);
      await bus.publish('other', {}, { channels: ['x:1', 'y'], id: 'live' });
      await bus.publish('stored', {}, { channels: ['x:1', 'x:2'], id: 'stored' });
      await bus.publish('other', {}, { id: 'end' });
      await eventually(() => ids.includes('end') && ids.includes('stored'));
      const times = config.mode === 'hybrid' ? 1 : 2;
      expect(ids.filter((id) => id === 'live')).toHaveLength(1);
      expect(ids.filter((id) => id === 'stored')).toHaveLength(times);
    },
  );
});
