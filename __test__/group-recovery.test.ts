/** Groups after a loss: entries, consumers, the group or the server are gone. */

import type { StreamConfig } from '..';
import { isDone, numbers, type RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { onBothTransports, onTransports } from './support/transports';

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
  });

  test('entries that were trimmed unread are counted as lost', async () => {
    stream.consumerGroups = ['g'];
    const bus = await open();
    const lost = new Gate<object>();
    bus.on('messagesLost', (notice) => lost.open(notice));
    for (let n = 0; n < 10; n += 1) await bus.publish('n', n);
    expect(await bus.streams.trim(stream.name, { maxLength: 4 })).toBe(6);
    const seen: number[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    expect(await lost.opened).toMatchObject({ stream: stream.name, group: 'g', count: 6 });
    await eventually(() => seen.length === 4);
    expect(seen).toEqual([6, 7, 8, 9]);
    expect(bus.getStats().eventsLost).toBe(6);
  });
});

onTransports(['redis'], (fixture) => {
  let raw: RawRedis;
  let stream: StreamConfig;
  beforeEach(() => {
    raw = rawRedisOf(fixture);
  });
  afterEach(() => raw.close());
  beforeEach(() => {
    stream = streamFor('*');
  });

  /** A consumer of ours reads entries, and is gone. */
  async function readAndDie(count: number): Promise<void> {
    await raw.redis.hset(`${stream.name}:group:g:consumers`, 'gone', 'gone 0');
    await raw.redis.xreadgroup('GROUP', 'g', 'gone', 'COUNT', count, 'STREAMS', stream.name, '>');
  }

  test('a group that is gone is made again, and misses nothing', async () => {
    const bus = await fixture.open({ streams: [stream] });
    const recreated: { stream: string; group: string }[] = [];
    const seen: number[] = [];
    bus.on('groupRecreated', (notice) => recreated.push(notice));
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    const { messageId } = await bus.publish('n', 0);
    await eventually(() => seen.length === 1);
    // A stream that begins again within the same millisecond gives the same ids again.
    await eventually(() => Date.now() > Number(messageId?.split('-')[0]));
    await raw.redis.flushall();
    for (let n = 1; n <= 10; n += 1) await bus.publish('n', n);
    await eventually(() => seen.length === 11);
    expect(seen).toEqual(numbers(11));
    expect(recreated[0]).toMatchObject({ stream: stream.name, group: 'g' });
    await raw.redis.xgroup('DESTROY', stream.name, 'g');
    for (let n = 11; n <= 15; n += 1) await bus.publish('n', n);
    await eventually(() => new Set(seen).size === 16);
    expect(recreated.length).toBeLessThanOrEqual(3);
  });

  test('a pending entry that was deleted never reaches a handler, and is told', async () => {
    const bus = await fixture.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 300 });
    const lost: object[] = [];
    const seen: number[] = [];
    bus.on('messagesLost', (notice) => lost.push(notice));
    const { messageId } = await bus.publish('n', 0);
    // The entry belongs to a consumer that is gone.
    await readAndDie(1);
    await raw.redis.xdel(stream.name, messageId as string);
    await bus.publish('n', 1);
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    await eventually(() => lost.length === 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(lost).toMatchObject([{ stream: stream.name, group: 'g', count: 1 }]);
    expect(seen).toEqual([1]);
  });

  test('a consumer that others left behind is removed, what it had is handled', async () => {
    const bus = await fixture.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 300 });
    const seen: [number, number][] = [];
    for (let n = 0; n < 3; n += 1) await bus.publish('n', n);
    await readAndDie(2);
    await bus.subscribe('n', (event, ctx) => seen.push([event.data, ctx.deliveryCount]), {
      group: 'g',
    });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen.sort()).toEqual([
      [0, 2],
      [1, 2],
      [2, 1],
    ]);
    expect(bus.getStats().messagesRecovered).toBe(2);
  });

  test('bus.streams.recover takes what was left alone, sooner than the lease', async () => {
    const bus = await fixture.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 100 });
    for (let n = 0; n < 3; n += 1) await bus.publish('n', n);
    await readAndDie(9);
    const recovered = await eventually(async () => {
      const result = await bus.streams.recover({ group: 'g', minIdle: 100 });
      return result.checked === 3 && result;
    });
    expect(recovered).toEqual({
      checked: 3,
      claimed: 3,
      reprocessed: 3,
      deadLettered: 0,
      failed: 0,
    });
    // What was handed back waits for a consumer, and is not taken again.
    expect(await bus.streams.recover({ group: 'g', minIdle: 100 })).toMatchObject({ checked: 0 });
    const seen: number[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual([0, 1, 2]);
    expect(bus.getStats().messagesRecovered).toBe(3);
  });

  test('bus.streams.recover tells of its dead letters and counts them', async () => {
    const bus = await fixture.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 100 });
    const told: object[] = [];
    bus.on('deadLetter', (notice) => told.push(notice));
    for (let n = 0; n < 5; n += 1) await bus.publish('n', n);
    await readAndDie(9);
    await eventually(async () => {
      const query = { group: 'g', minIdle: 100, maxRetries: 0 };
      return (await bus.streams.recover(query)).deadLettered === 5;
    });
    await eventually(() => told.length === 5);
    expect(told[0]).toMatchObject({
      stream: stream.name,
      group: 'g',
      event: { data: 0 },
      attempts: 1,
    });
    const { eventsDeadLettered, messagesRecovered } = bus.getStats();
    expect([eventsDeadLettered, messagesRecovered]).toEqual([5, 5]);
  });

  test('the server is killed and comes back: what it had accepted is handled', async () => {
    const server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
    try {
      const config = { streams: [stream], redis: server.url };
      const [bus, publisher] = [await fixture.open(config), await fixture.open(config)];
      const seen = new Set<number>();
      const resolved: number[] = [];
      await bus.subscribe('n', (event) => seen.add(event.data), { group: 'g' });
      let running = true;
      const publishing = (async () => {
        for (let n = 0; running; n += 1) {
          const accepted = await publisher.publish('n', n, { timeout: 500 }).catch(() => undefined);
          if (accepted !== undefined) resolved.push(n);
        }
      })();
      await eventually(() => seen.size > 100);
      await server.kill();
      const before = resolved.length;
      await server.restart();
      await eventually(() => resolved.length > before + 100);
      running = false;
      await publishing;
      await eventually(() => resolved.every((n) => seen.has(n)));
      await eventually(() => isDone(bus, stream.name, 'g'));
    } finally {
      await server.stop();
    }
  });
});
