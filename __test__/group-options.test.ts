/** What a subscription of a group may ask for: where it starts, filters, names, streams. */

import type { BusEvent, EventBusClient, GroupContext, StreamConfig } from '..';
import { ValidationError } from '..';
import { isDone, numbers, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { rejection } from './support/rejection';
import { onBothTransports } from './support/transports';

const RETRY = { initialDelay: 10, jitter: 'none' as const };

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
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

  test('in a group that exists, a new pattern starts where its subscription says', async () => {
    const bus = await open();
    const warnings: string[] = [];
    bus.on('warning', ({ code, message }) => code === 'START_IGNORED' && warnings.push(message));
    await bus.subscribe('other', () => {}, { group: 'g' });
    const results = [];
    for (const n of numbers(4)) results.push(await bus.publish('n', n));
    for (const n of numbers(4)) await bus.publish('m', n);
    await eventually(() => bus.getStats().eventsSkipped === 8);
    const late = await numbersOf(bus, { from: results[1]!.messageId });
    const none: unknown[] = [];
    await bus.subscribe('m', ({ data }) => none.push(data), { group: 'g', from: 'new' });
    await eventually(() => late.length === 2);
    await bus.publish('m', 9);
    await eventually(() => none.length === 1);
    expect([late, none, warnings]).toEqual([[2, 3], [9], []]);
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
    const url = fixture.server?.url;
    const other = await open({ redis: { ...(url && { url }), commandTimeout: 700 } });
    const error = await rejection(numbersOf(other, { consumer: 'worker-1' }));
    expect(error).toMatchObject({ code: 'ERR_BUS_CONSUMER_IN_USE' });
    expect(other.subscriberCount()).toBe(0);
    // The name is free in another group.
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
    const error = await rejection(
      bus.subscribe<string | string[]>(pattern, () => {}, { group: 'g', ...options }),
    );
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
