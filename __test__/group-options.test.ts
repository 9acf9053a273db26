/** What a subscription of a group may ask for: where it starts, order, batches, iterators, names. */

import type { BatchContext, BusEvent, EventBusClient, GroupContext, StreamConfig } from '..';
import { ValidationError } from '..';
import { isDone, pendingOf, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { rejection } from './support/rejection';
import { onBothTransports } from './support/transports';

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const RETRY = { initialDelay: 10, jitter: 'none' as const };
onBothTransports((bench) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => bench.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
  });

  /** Subscribes a group that takes numbers; answers with those that it gets. */
  async function numbersOf(bus: EventBusClient, options: object): Promise<number[]> {
    const seen: number[] = [];
    const handler = (event: BusEvent<number>) => seen.push(event.data);
    await bus.subscribe('n', handler, { group: 'g', concurrency: 1, ...options });
    return seen;
  }

  describe('a new group starts', () => {
    async function published(bus: EventBusClient) {
      const results = [];
      for (const n of numbers(4)) results.push(await bus.publish('n', n));
      return results;
    }

    test("at the end, unless told otherwise, or with 'new'", async () => {
      const bus = await open();
      await published(bus);
      const byDefault = await numbersOf(bus, {});
      const told = await numbersOf(bus, { group: 'h', from: 'new' });
      await bus.publish('n', 9);
      await eventually(() => byDefault.length > 0 && told.length > 0);
      expect([byDefault, told]).toEqual([[9], [9]]);
    });

    test("with 'beginning', at the oldest entry", async () => {
      const bus = await open();
      await published(bus);
      const seen = await numbersOf(bus, { from: 'beginning' });
      await eventually(() => isDone(bus, stream.name, 'g'));
      expect(seen).toEqual([0, 1, 2, 3]);
    });

    test('behind a message id', async () => {
      const bus = await open();
      const { messageId } = (await published(bus))[1]!;
      const seen = await numbersOf(bus, { from: messageId });
      await eventually(() => isDone(bus, stream.name, 'g'));
      expect(seen).toEqual([2, 3]);
    });

    test('with what was stored at a time or later', async () => {
      const bus = await open();
      const first = (await bus.publish('n', 0)).messageId as string;
      const time = Number(first.split('-')[0]) + 1;
      // The next entry is of a later millisecond.
      await eventually(async () => {
        const { messageId } = await bus.publish('pause', 1);
        return Number(messageId?.split('-')[0]) >= time;
      });
      await bus.publish('n', 1);
      const seen = await numbersOf(bus, { from: new Date(time) });
      await eventually(() => isDone(bus, stream.name, 'g'));
      expect(seen).toEqual([1]);
    });

    test('once: for one that exists it is a warning', async () => {
      const bus = await open();
      const warnings: string[] = [];
      bus.on('warning', ({ code }) => warnings.push(code));
      await published(bus);
      const seen = await numbersOf(bus, { from: 'beginning' });
      await eventually(() => isDone(bus, stream.name, 'g'));
      const other = await open();
      other.on('warning', ({ code }) => warnings.push(code));
      await numbersOf(other, { from: 'beginning' });
      await eventually(() => warnings.length === 1);
      expect(warnings).toEqual(['START_IGNORED']);
      expect(seen).toEqual([0, 1, 2, 3]);
    });
  });

  test("orderBy 'key': each key in order and alone, through retries, keys side by side", async () => {
    const bus = await open();
    const orders = new Map<string, number[]>();
    const running = new Set<string>();
    let most = 0;
    await bus.subscribe(
      'n',
      async ({ data, metadata }, { attempt }) => {
        const key = String(metadata.key);
        expect(running.has(key)).toBe(false);
        running.add(key);
        most = Math.max(most, running.size);
        await new Promise((resolve) => setImmediate(resolve));
        running.delete(key);
        // Every seventh fails once.
        if (data % 7 === 0 && attempt === 1) throw new Error('again');
        orders.set(key, [...(orders.get(key) ?? []), data]);
      },
      { group: 'g', orderBy: 'key', retry: RETRY },
    );
    await Promise.all(numbers(200).map((n) => bus.publish('n', n, { key: `k${n % 10}` })));
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(most).toBeGreaterThan(1);
    for (const [key, order] of orders) {
      expect([key, order]).toEqual([key, [...order].sort((a, b) => a - b)]);
      expect(order).toHaveLength(20);
    }
    expect(bus.getStats().eventsFailed).toBe(0);
  });

  test("orderBy 'stream': strictly one after the other, through retries", async () => {
    const bus = await open();
    const order: number[] = [];
    let running = 0;
    await bus.subscribe(
      'n',
      async ({ data }, { attempt }) => {
        expect(running).toBe(0);
        running += 1;
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        if (data % 10 === 3 && attempt === 1) throw new Error('again');
        order.push(data);
      },
      { group: 'g', orderBy: 'stream', retry: RETRY },
    );
    await Promise.all(numbers(50).map((n) => bus.publish('n', n)));
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(order).toEqual(numbers(50));
  });

  test('an ordered call that timed out keeps its place until it ends', async () => {
    const bus = await open();
    const calls: string[] = [];
    const gate = new Gate();
    await bus.subscribe(
      'n',
      async ({ data }, { attempt, signal }) => {
        calls.push(`${data}.${attempt}`);
        if (data === 0 && attempt === 1) {
          await gate.opened;
          calls.push(`late, aborted: ${signal.aborted}`);
        }
      },
      { group: 'g', orderBy: 'key', timeout: 30, retry: RETRY },
    );
    for (const n of numbers(2)) await bus.publish('n', n, { key: 'k' });
    await eventually(() => bus.getStats().zombieHandlers === 1);
    await eventually(() => bus.getStats().eventsRetried === 1);
    expect(calls).toEqual(['0.1']);
    gate.open();
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(calls).toEqual(['0.1', 'late, aborted: true', '0.2', '1.1']);
    expect(bus.getStats().zombieHandlers).toBe(0);
  });

  test('a batch is one call, acknowledged as one', async () => {
    const bus = await open({ serviceName: 'warehouse' });
    const batches: number[][] = [];
    const contexts: BatchContext[] = [];
    const ids = await Promise.all(numbers(25).map((n) => bus.publish('n', n)));
    await bus.subscribe(
      'n',
      async (events, ctx) => {
        batches.push(events.map(({ data }) => data as number));
        contexts.push(ctx);
      },
      { group: 'g', from: 'beginning', concurrency: 1, batch: { size: 10, wait: 20 } },
    );
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(batches.flat()).toEqual(numbers(25));
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(10);
    expect(contexts.flatMap(({ messageIds }) => messageIds)).toEqual(
      ids.map(({ messageId }) => messageId),
    );
    expect(contexts[0]).toMatchObject({
      group: 'g',
      attempt: 1,
      deliveryCount: 1,
      stream: stream.name,
      messageId: ids[0]?.messageId,
    });
    expect(new Set(contexts.flatMap(({ streams }) => streams))).toEqual(new Set([stream.name]));
  });

  test('a batch that fails is retried, then its events go to the dead letters', async () => {
    const bus = await open();
    const attempts: number[] = [];
    const letters: unknown[] = [];
    bus.on('deadLetter', ({ event, attempts: tries }) => letters.push([event?.data, tries]));
    await bus.subscribe(
      'n',
      (_, { attempt }) => {
        attempts.push(attempt);
        throw new Error('no');
      },
      { group: 'g', batch: { size: 3, wait: 5000 }, maxRetries: 1, retry: RETRY },
    );
    await Promise.all(numbers(3).map((n) => bus.publish('n', n)));
    await eventually(() => letters.length === 3);
    expect(letters.sort()).toEqual(numbers(3).map((n) => [n, 2]));
    expect(attempts[0]).toBe(1);
    expect(attempts.at(-1)).toBe(2);
    await eventually(() => isDone(bus, stream.name, 'g'));
  });

  test('an incomplete batch waits no longer than it may', async () => {
    const bus = await open();
    const sizes: number[] = [];
    await bus.subscribe('n', (events) => sizes.push(events.length), {
      group: 'g',
      batch: { size: 100, wait: 30 },
    });
    await Promise.all(numbers(3).map((n) => bus.publish('n', n)));
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(3);
  });

  test('an iterator acknowledges an event when the next is asked for', async () => {
    const bus = await open();
    const events = bus.events('n', { group: 'g', concurrency: 1 });
    await events.ready();
    for (const n of numbers(3)) await bus.publish('n', n);
    expect((await events.next()).value).toMatchObject({ data: 0 });
    expect(await pendingOf(bus, stream.name, 'g')).toBeGreaterThan(0);
    const [oldest] = await bus.streams.pending(stream.name, 'g');
    expect((await events.next()).value).toMatchObject({ data: 1 });
    await eventually(async () => {
      const [next] = await bus.streams.pending(stream.name, 'g');
      return next?.id !== oldest?.id;
    });
    await events.return();
  });

  test.each<[string, (bus: EventBusClient) => Promise<void>]>([
    [
      'break',
      async (bus) => {
        for await (const _ of bus.events('n', { group: 'g', concurrency: 4 })) break;
      },
    ],
    [
      'a throw',
      async (bus) => {
        const loop = async () => {
          for await (const event of bus.events('n', { group: 'g' })) throw new Error(event.id);
        };
        await expect(loop()).rejects.toThrow();
      },
    ],
    [
      'dispose',
      async (bus) => {
        const events = bus.events('n', { group: 'g' });
        await events.next();
        await events[Symbol.asyncDispose]();
      },
    ],
  ])('an iterator left by %s hands back what it has', async (_, take) => {
    stream = streamFor('*', { consumerGroups: [{ name: 'g', from: 'beginning' }] });
    const bus = await open();
    for (const n of numbers(5)) await bus.publish('n', n);
    await take(bus);
    const seen: [number, number][] = [];
    const handler = (event: BusEvent<number>, ctx: { deliveryCount: number }) =>
      seen.push([event.data, ctx.deliveryCount]);
    await bus.subscribe('n', handler, { group: 'g', concurrency: 1 });
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen.sort()).toEqual(numbers(5).map((n) => [n, 1]));
  });

  test('a filter runs before JavaScript; what it drops is acknowledged and counted', async () => {
    const bus = await open();
    const seen: unknown[] = [];
    await bus.subscribe('job', ({ data }) => seen.push(data.id), {
      group: 'g',
      filter: { 'data.status': ['failed', 'late'] },
    });
    for (const [id, status] of ['ok', 'failed', 'late', 'ok'].entries()) {
      await bus.publish('job', { id, status });
    }
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen.sort()).toEqual([1, 2]);
    expect(bus.getStats().eventsSkipped).toBe(2);
  });

  test('a circuit that opens keeps events, and lets them through later', async () => {
    const bus = await open();
    const states: string[] = [];
    const seen = new Set<number>();
    let broken = true;
    bus.on('circuit', ({ state }) => states.push(state));
    await bus.subscribe(
      'n',
      (event) => {
        if (broken) throw new Error('down');
        seen.add(event.data);
      },
      {
        group: 'g',
        maxRetries: 1000,
        retry: RETRY,
        circuitBreaker: { minimumCalls: 4, resetTimeout: 50, errorThresholdPercentage: 50 },
      },
    );
    for (const n of numbers(20)) await bus.publish('n', n);
    await eventually(() => states.includes('open'));
    broken = false;
    await eventually(() => states.at(-1) === 'closed');
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect([...seen].sort((a, b) => a - b)).toEqual(numbers(20));
    expect(bus.getStats()).toMatchObject({ eventsDropped: 0, eventsDeadLettered: 0 });
  });

  test('a consumer keeps its name, which nobody else may have while it lives', async () => {
    const bus = await open();
    await numbersOf(bus, { consumer: 'worker-1' });
    const url = bench.server?.url;
    const other = await open({ redis: { ...(url && { url }), commandTimeout: 700 } });
    const error = await rejection(numbersOf(other, { consumer: 'worker-1' }));
    expect(error).toMatchObject({ code: 'ERR_BUS_CONSUMER_IN_USE' });
    expect(other.subscriberCount()).toBe(0);
    // Another group is another matter.
    await numbersOf(other, { group: 'h', consumer: 'worker-1' });
    await bus.disconnect();
    const seen = await numbersOf(other, { consumer: 'worker-1' });
    await other.publish('n', 1);
    await eventually(() => seen.length === 1);
    const { groups } = await other.streams.info(stream.name);
    const names = groups.find(({ name }) => name === 'g')?.consumers.map(({ name }) => name);
    expect(names).toEqual(['worker-1']);
  });

  test.each<[string, object, string]>([
    ['another consumer', { consumer: 'second' }, 'consumer'],
    ['another order', { orderBy: 'stream' }, 'orderBy'],
  ])('the subscriptions of a group in a client agree: %s is refused', async (_, options, path) => {
    const bus = await open();
    await numbersOf(bus, { consumer: 'first', orderBy: 'key' });
    const agreed = { consumer: 'first', orderBy: 'key', ...options };
    const error = await rejection(numbersOf(bus, agreed));
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
    expect(error).toBeInstanceOf(ValidationError);
    expect(bus.subscriberCount()).toBe(1);
  });

  test.each<[string, string | string[], object]>([
    ['no stream stores the type', 'user.created', {}],
    ['no stream of that name', 'order.placed', { streams: 'unheard-of' }],
  ])('refused where %s', async (_, pattern, options) => {
    const bus = await open({ streams: [streamFor('order.*')] });
    const error = await rejection(bus.subscribe(pattern, () => {}, { group: 'g', ...options }));
    expect(error).toMatchObject({ code: 'ERR_BUS_NO_STREAM' });
    expect(error.stack?.split('\n')[1]).toContain('group-options.test.ts');
    expect(bus.subscriberCount()).toBe(0);
  });

  test('without streams in the configuration nothing is durable', async () => {
    const bus = await open({ streams: undefined });
    expect(await rejection(bus.subscribe('*', () => {}, { group: 'g' }))).toMatchObject({
      code: 'ERR_BUS_NO_STREAM',
    });
  });

  test('a subscription over several streams reads them all, or those it names', async () => {
    const [orders, photos] = [streamFor('order.*'), streamFor('photo.*')];
    const bus = await open({ streams: [orders, photos] });
    const seen: string[] = [];
    await bus.subscribe('*', (event, ctx) => seen.push(`${event.type} in ${ctx.stream}`), {
      group: 'g',
    });
    await bus.subscribe('*', (event) => seen.push(event.type), {
      group: 'h',
      streams: [photos.name],
    });
    await bus.publish('order.placed', 1);
    await bus.publish('photo.taken', 1);
    await eventually(() => seen.length === 3);
    expect(seen.sort()).toEqual(
      [`order.placed in ${orders.name}`, 'photo.taken', `photo.taken in ${photos.name}`].sort(),
    );
    expect((await bus.streams.info(orders.name)).groups.map(({ name }) => name)).toEqual(['g']);
  });

  test('a signal ends it, and what it had is for others', async () => {
    const bus = await open();
    const controller = new AbortController();
    const gate = new Gate();
    const started: number[] = [];
    await bus.subscribe(
      'n',
      async ({ data }) => {
        started.push(data);
        await gate.opened;
      },
      { group: 'g', concurrency: 1, signal: controller.signal },
    );
    for (const n of numbers(4)) await bus.publish('n', n);
    await eventually(() => started.length === 1);
    controller.abort();
    await eventually(() => bus.subscriberCount() === 0);
    gate.open();
    const seen = await numbersOf(bus, {});
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect([started, seen]).toEqual([[0], [1, 2, 3]]);
  });

  test('a projection may be durable', async () => {
    const bus = await open();
    const seen: string[] = [];
    const projection = {
      subscribedTo: () => ['order.placed', 'order.paid'],
      handle: (event: BusEvent, ctx: GroupContext) => seen.push(`${event.type} of ${ctx.group}`),
    };
    const sub = await bus.subscribeAll(projection, { group: 'g' });
    expect(sub).toMatchObject({ pattern: ['order.placed', 'order.paid'], group: 'g' });
    for (const type of ['order.placed', 'order.lost', 'order.paid']) await bus.publish(type, 1);
    await eventually(() => isDone(bus, stream.name, 'g'));
    expect(seen.sort()).toEqual(['order.paid of g', 'order.placed of g']);
  });

  test('another lease than that of the group is a warning, and not used', async () => {
    const [first, second] = [await open({ lease: 20_000 }), await open({ lease: 10_000 })];
    const warnings: string[] = [];
    second.on('warning', ({ code }) => warnings.push(code));
    await numbersOf(first, {});
    await numbersOf(second, {});
    await eventually(() => warnings.length === 1);
    expect(warnings).toEqual(['LEASE_DIFFERS']);
  });
});
