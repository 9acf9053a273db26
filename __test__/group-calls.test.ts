/** How a group calls its handlers: in which order, in batches, or one by one as an iterator asks. */

import type { BatchContext, BusEvent, EventBusClient, StreamConfig } from '..';
import { isDone, numbers, pendingOf, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { onBothTransports } from './support/transports';

const RETRY = { initialDelay: 10, jitter: 'none' as const };

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
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
    const deadLetters: unknown[] = [];
    bus.on('deadLetter', ({ event, attempts: tries }) => deadLetters.push([event?.data, tries]));
    await bus.subscribe(
      'n',
      (_, { attempt }) => {
        attempts.push(attempt);
        throw new Error('no');
      },
      { group: 'g', batch: { size: 3, wait: 5000 }, maxRetries: 1, retry: RETRY },
    );
    await Promise.all(numbers(3).map((n) => bus.publish('n', n)));
    await eventually(() => deadLetters.length === 3);
    expect(deadLetters.sort()).toEqual(numbers(3).map((n) => [n, 2]));
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
});
