/** Consumer groups: who gets what, and that nothing is lost when consumers come and go. */

import type { BusEvent, EventBusClient, GroupContext, StreamConfig } from '..';
import { isDone, pendingOf, streamFor, type Wire, wireTo } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { onBothTransports, onTransports } from './support/transports';

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const publishAll = (bus: EventBusClient, type: string, count: number) =>
  Promise.all(numbers(count).map((n) => bus.publish(type, n)));
const ascending = (a: number, b: number) => a - b;

onBothTransports((bench) => {
  /** Clients of services that share one stream for all types. */
  let stream: StreamConfig;
  const open = (config: object = {}) => bench.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
  });

  test('an event comes as it was published, with its place', async () => {
    const bus = await open({ serviceName: 'api' });
    const calls: [BusEvent, GroupContext][] = [];
    const sub = await bus.subscribe('photo.*', (event, ctx) => calls.push([event, ctx]), {
      group: 'index',
    });
    expect(sub).toMatchObject({ group: 'index', state: 'active' });
    const data = { photoId: '1', tags: ['é', '\u2028'], none: null };
    const options = { key: 'k', userId: 'u', metadata: { own: { deep: [1] } } };
    const result = await bus.publish('photo.uploaded', data, options);
    await eventually(() => calls.length === 1);
    const [event, ctx] = calls[0]!;
    expect(event).toEqual({
      id: result.eventId,
      type: 'photo.uploaded',
      data,
      metadata: {
        timestamp: result.timestamp,
        source: 'api',
        instanceId: bus.instanceId,
        correlationId: result.eventId,
        key: 'k',
        userId: 'u',
        own: { deep: [1] },
      },
    });
    expect(ctx).toMatchObject({
      attempt: 1,
      pattern: 'photo.*',
      channel: result.channel,
      stream: stream.name,
      messageId: result.messageId,
      group: 'index',
      deliveryCount: 1,
    });
    expect(ctx.signal.aborted).toBe(false);
    await eventually(() => isDone(bus, stream.name, 'index'));
    expect(bus.getStats()).toMatchObject({ eventsReceived: 1, eventsDelivered: 1 });
  });

  test('each group gets every event; the members of one share them', async () => {
    const clients = [await open(), await open(), await open()];
    const seen: Record<string, number[]> = { mail: [], index: [] };
    const at = clients.map(() => 0);
    for (const group of Object.keys(seen)) {
      for (const [n, client] of clients.entries()) {
        const handler = async (event: BusEvent<number>) => {
          seen[group]?.push(event.data);
          at[n]! += 1;
          await new Promise((resolve) => setImmediate(resolve));
        };
        await client.subscribe('n', handler, { group, concurrency: 2 });
      }
    }
    await publishAll(clients[0]!, 'n', 300);
    await eventually(() => Object.values(seen).every(({ length }) => length >= 300));
    for (const group of Object.keys(seen)) {
      await eventually(() => isDone(clients[0]!, stream.name, group));
      expect(seen[group]?.sort(ascending)).toEqual(numbers(300));
    }
    for (const count of at) expect(count).toBeGreaterThan(0);
  });

  test('an event is settled when all subscriptions of the group are; each retries alone', async () => {
    const bus = await open();
    const calls: string[] = [];
    const gate = new Gate();
    const retry = { initialDelay: 5, jitter: 'none' as const };
    await bus.subscribe('a', () => calls.push('steady'), { group: 'g' });
    await bus.subscribe(
      '*',
      async (_, { attempt }) => {
        calls.push(`flaky ${attempt}`);
        if (attempt === 1) throw new Error('once');
        await gate.opened;
      },
      { group: 'g', retry },
    );
    await bus.subscribe('b', () => calls.push('other type'), { group: 'g' });
    await bus.publish('a', 1);
    await eventually(() => calls.length === 3);
    expect(calls.sort()).toEqual(['flaky 1', 'flaky 2', 'steady']);
    expect(await pendingOf(bus, stream.name, 'g')).toBe(1);
    gate.open();
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(bus.getStats()).toMatchObject({ eventsDelivered: 2, eventsRetried: 1, eventsFailed: 0 });
  });

  test('a subscription with several patterns that match is called once', async () => {
    const bus = await open();
    const seen: string[] = [];
    await bus.subscribe(['photo.*', 'photo.uploaded', '*'], (_, ctx) => seen.push(ctx.pattern), {
      group: 'g',
    });
    await bus.publish('photo.uploaded', 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual(['photo.*']);
  });

  test('what is published while nobody is there waits', async () => {
    const bus = await open();
    const seen: number[] = [];
    const handler = (event: BusEvent<number>) => seen.push(event.data);
    const first = await bus.subscribe('n', handler, { group: 'g' });
    await bus.publish('n', 0);
    await eventually(() => isDone(bus, stream.name, 'g'));
    await first.unsubscribe();
    for (const n of [1, 2]) await bus.publish('n', n);
    const other = await open();
    await other.subscribe('n', handler, { group: 'g' });
    await eventually(() => seen.length === 3);
    await other.disconnect();
    await bus.publish('n', 3);
    await bus.subscribe('n', handler, { group: 'g' });
    await eventually(() => seen.length === 4);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test('a reader takes no more than its handlers can do soon', async () => {
    const bus = await open();
    const gate = new Gate();
    let running = 0;
    await bus.subscribe(
      'n',
      async () => {
        running += 1;
        await gate.opened;
      },
      { group: 'g', concurrency: 3 },
    );
    await publishAll(bus, 'n', 200);
    await eventually(() => running === 3);
    const { groups } = await bus.streams.info(stream.name);
    expect(groups[0]?.pending).toBeLessThan(100);
    expect(running).toBe(3);
    gate.open();
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(running).toBe(200);
    expect(bus.getStats().eventsDropped).toBe(0);
  });

  test('paused, it leaves events in the stream, and loses none', async () => {
    const bus = await open();
    const seen: number[] = [];
    const sub = await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    await bus.publish('n', 0);
    await eventually(() => seen.length === 1);
    sub.pause();
    await publishAll(bus, 'n', 50);
    await bus.streams.list();
    expect(seen).toHaveLength(1);
    sub.resume();
    await eventually(() => seen.length === 51);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(bus.getStats().eventsDropped).toBe(0);
  });

  test('a member that ends hands over what it has not started, within a second', async () => {
    const [first, second] = [await open(), await open()];
    const gate = new Gate();
    const started: number[] = [];
    const seen: { n: number; deliveries: number; attempt: number }[] = [];
    await first.subscribe(
      'n',
      async (event) => {
        started.push(event.data);
        await gate.opened;
      },
      { group: 'g', concurrency: 1 },
    );
    await publishAll(first, 'n', 10);
    // It holds some that wait behind the one that runs.
    await eventually(async () => (await pendingOf(first, stream.name, 'g')) > 1);
    await second.subscribe(
      'n',
      (event, { deliveryCount, attempt }) => {
        seen.push({ n: event.data, deliveries: deliveryCount, attempt });
      },
      { group: 'g' },
    );
    const closed = first.disconnect();
    const since = performance.now();
    await eventually(() => seen.length === 9);
    expect(performance.now() - since).toBeLessThan(1000);
    gate.open();
    await closed;
    await eventually(() => isDone(second, stream.name, 'g'));
    expect(started).toEqual([0]);
    expect(seen.map(({ n }) => n).sort(ascending)).toEqual(numbers(10).slice(1));
    // To have been handed back is no attempt.
    for (const { deliveries, attempt } of seen) expect([deliveries, attempt]).toEqual([1, 1]);
    const { groups } = await second.streams.info(stream.name);
    expect(groups[0]?.consumers).toHaveLength(1);
  });

  test('a member that unsubscribes hands back as well', async () => {
    const bus = await open();
    const gate = new Gate();
    const seen: number[] = [];
    let running = 0;
    const sub = await bus.subscribe(
      'n',
      async () => {
        running += 1;
        await gate.opened;
      },
      { group: 'g', concurrency: 1 },
    );
    await publishAll(bus, 'n', 5);
    await eventually(() => running === 1);
    const gone = sub.unsubscribe({ wait: true });
    gate.open();
    expect(await gone).toBe(true);
    expect(running).toBe(1);
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test('a handler that runs longer than the lease keeps its event', async () => {
    const [first, second] = [await open({ lease: 300 }), await open({ lease: 300 })];
    const calls: number[] = [];
    const gate = new Gate();
    for (const bus of [first, second]) {
      await bus.subscribe(
        'n',
        async (event) => {
          calls.push(event.data);
          if (event.data === 0) await gate.opened;
        },
        { group: 'g' },
      );
    }
    await first.publish('n', 0);
    await eventually(() => calls.length === 1);
    const renewed = () => first.getStats().claimsRenewed + second.getStats().claimsRenewed;
    // Three to a lease: this takes two leases.
    await eventually(() => renewed() >= 6);
    await first.publish('n', 1);
    await eventually(() => calls.length === 2);
    gate.open();
    await eventually(() => isDone(first, stream.name, 'g'));
    expect(calls).toEqual([0, 1]);
  });

  test('beyond maxProcessing another member gets it too, and the first is told', async () => {
    const [first, second] = [await open({ lease: 300 }), await open({ lease: 300 })];
    const lost: object[] = [];
    const reasons: unknown[] = [];
    const gate = new Gate();
    const again = new Gate<GroupContext>();
    first.on('claimLost', (claim) => lost.push(claim));
    const sub = await first.subscribe(
      'a',
      async (_, { signal }) => {
        // From here on it takes nothing, not even this one again.
        sub.pause();
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        await gate.opened;
      },
      { group: 'g', maxProcessing: 200 },
    );
    const { eventId, messageId } = await first.publish('a', 1);
    await eventually(async () => (await pendingOf(first, stream.name, 'g')) === 1);
    await second.subscribe('a', (_, ctx) => again.open(ctx), { group: 'g' });
    expect(await again.opened).toMatchObject({ deliveryCount: 2, attempt: 2, messageId });
    await eventually(() => lost.length === 1 && reasons.length === 1);
    expect(lost).toEqual([{ stream: stream.name, group: 'g', messageId, eventId }]);
    expect(reasons).toMatchObject([{ code: 'ERR_BUS_ABORTED' }]);
    expect(second.getStats().messagesRecovered).toBe(1);
    gate.open();
    await eventually(() => isDone(second, stream.name, 'g'));
    expect((await first.streams.info(stream.name)).deadLetters).toBe(0);
  });

  test('types outside the patterns of the group are skipped and counted', async () => {
    const bus = await open();
    const seen: string[] = [];
    await bus.subscribe('a.*', (event) => seen.push(event.type), { group: 'g' });
    for (const type of ['b.one', 'a.one', 'b.two']) await bus.publish(type, 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual(['a.one']);
    expect(bus.getStats()).toMatchObject({ eventsSkipped: 2, eventsDelivered: 1 });
  });

  test('types that another member handles find their way there', async () => {
    const [first, second] = [await open({ lease: 5000 }), await open({ lease: 5000 })];
    const seen: string[] = [];
    await first.subscribe('a', () => seen.push('a'), { group: 'g' });
    await second.subscribe('b', () => seen.push('b'), { group: 'g' });
    for (const type of ['a', 'b', 'b', 'a', 'b']) await first.publish(type, 1);
    await eventually(() => seen.length === 5);
    expect(seen.sort()).toEqual(['a', 'a', 'b', 'b', 'b']);
    await eventually(() => isDone(first, stream.name, 'g'));
  });

  test('a type that no member is left for ends in the dead letters as unhandled', async () => {
    const [first, second] = [await open({ lease: 300 }), await open({ lease: 300 })];
    const letters: { reason: string; type: string | undefined }[] = [];
    first.on('deadLetter', ({ reason, event }) => letters.push({ reason, type: event?.type }));
    await first.subscribe('a', () => {}, { group: 'g' });
    await second.subscribe('b', () => {}, { group: 'g' });
    await second.disconnect();
    await first.publish('b', 1);
    await eventually(() => letters.length === 1);
    expect(letters).toEqual([{ reason: 'unhandled', type: 'b' }]);
    await eventually(() => isDone(first, stream.name, 'g'));
  });

  test('what a handler publishes inherits from the event it handles', async () => {
    const bus = await open();
    const invoices: BusEvent[] = [];
    await bus.subscribe('order', async () => void (await bus.publish('invoice', 1)), {
      group: 'g',
    });
    await bus.subscribe('invoice', (event) => invoices.push(event), { group: 'h' });
    const { eventId } = await bus.publish('order', 1, { correlationId: 'request-1' });
    await eventually(() => invoices.length === 1);
    expect(invoices[0]?.metadata).toMatchObject({
      correlationId: 'request-1',
      causationId: eventId,
    });
  });

  test('after disconnect a client has no consumer, but where others have yet to take what it had', async () => {
    const [bus, other] = [await open(), await open()];
    await bus.subscribe('a', () => {}, { group: 'g' });
    const events = bus.events('a', { group: 'h' });
    await events.ready();
    await publishAll(bus, 'a', 20);
    await eventually(() => isDone(other, stream.name, 'g'));
    await bus.disconnect();
    expect(await events.next()).toEqual({ done: true, value: undefined });
    const groupOf = async (group: string) =>
      (await other.streams.info(stream.name)).groups.find(({ name }) => name === group);
    expect(await groupOf('g')).toMatchObject({ consumers: [], pending: 0 });
    const seen: number[] = [];
    await other.subscribe('a', (event) => seen.push(event.data), { group: 'h' });
    await eventually(() => isDone(other, stream.name, 'h'));
    expect(seen.sort(ascending)).toEqual(numbers(20));
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

onTransports(['redis'], (bench) => {
  let wire: Wire;
  let stream: StreamConfig;
  beforeEach(() => {
    wire = wireTo(bench);
  });
  afterEach(() => wire.close());
  beforeEach(() => {
    stream = streamFor('*');
  });

  test('a group that is gone is made again, and misses nothing', async () => {
    const bus = await bench.open({ streams: [stream] });
    const recreated: { stream: string; group: string }[] = [];
    const seen: number[] = [];
    bus.on('groupRecreated', (notice) => recreated.push(notice));
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    const { messageId } = await bus.publish('n', 0);
    await eventually(() => seen.length === 1);
    // A stream that begins again within the same millisecond gives the same ids again.
    await eventually(() => Date.now() > Number(messageId?.split('-')[0]));
    await wire.redis.flushall();
    for (let n = 1; n <= 10; n += 1) await bus.publish('n', n);
    await eventually(() => seen.length === 11);
    expect(seen).toEqual(numbers(11));
    expect(recreated[0]).toMatchObject({ stream: stream.name, group: 'g' });
    await wire.redis.xgroup('DESTROY', stream.name, 'g');
    for (let n = 11; n <= 15; n += 1) await bus.publish('n', n);
    await eventually(() => new Set(seen).size === 16);
    expect(recreated.length).toBeLessThanOrEqual(3);
  });

  test('a pending entry that was deleted never reaches a handler, and is told', async () => {
    const bus = await bench.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 300 });
    const lost: object[] = [];
    const seen: number[] = [];
    bus.on('messagesLost', (notice) => lost.push(notice));
    const { messageId } = await bus.publish('n', 0);
    // A consumer that is gone had it.
    await wire.redis.xreadgroup('GROUP', 'g', 'gone', 'COUNT', 1, 'STREAMS', stream.name, '>');
    await wire.redis.xdel(stream.name, messageId as string);
    await bus.publish('n', 1);
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    await eventually(() => lost.length === 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(lost).toMatchObject([{ stream: stream.name, group: 'g', count: 1 }]);
    expect(seen).toEqual([1]);
  });

  test('a consumer that others left behind is removed, what it had is handled', async () => {
    const bus = await bench.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 300 });
    const seen: [number, number][] = [];
    for (let n = 0; n < 3; n += 1) await bus.publish('n', n);
    await wire.redis.xreadgroup('GROUP', 'g', 'gone', 'COUNT', 2, 'STREAMS', stream.name, '>');
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
    const bus = await bench.open({ streams: [{ ...stream, consumerGroups: ['g'] }], lease: 100 });
    for (let n = 0; n < 3; n += 1) await bus.publish('n', n);
    await wire.redis.xreadgroup('GROUP', 'g', 'gone', 'COUNT', 9, 'STREAMS', stream.name, '>');
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
    const seen: number[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data), { group: 'g' });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen).toEqual([0, 1, 2]);
  });

  test('the server is killed and comes back: what it had accepted is handled', async () => {
    const server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
    try {
      const config = { streams: [stream], redis: server.url };
      const [bus, publisher] = [await bench.open(config), await bench.open(config)];
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
