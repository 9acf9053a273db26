/** Consumer groups: who gets what. */

import type { BusEvent, GroupContext, StreamConfig } from '..';
import {
  ascending,
  isDone,
  isEmpty,
  numbers,
  pendingOf,
  publishAll,
  streamFor,
} from './support/durable';
import { eventually, Gate } from './support/eventually';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  /** Clients of services that share one stream for all types. */
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
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
    await eventually(() => isEmpty(bus, stream.name, 'g'));
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
    const deadLetters: { reason: string; type: string | undefined }[] = [];
    first.on('deadLetter', ({ reason, event }) => deadLetters.push({ reason, type: event?.type }));
    await first.subscribe('a', () => {}, { group: 'g' });
    await second.subscribe('b', () => {}, { group: 'g' });
    await second.disconnect();
    await first.publish('b', 1);
    await eventually(() => deadLetters.length === 1);
    expect(deadLetters).toEqual([{ reason: 'unhandled', type: 'b' }]);
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
});
