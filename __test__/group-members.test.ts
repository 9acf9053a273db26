/** The members of a group: what each takes, and that nothing is lost when they come and go. */

import type { GroupContext, StreamConfig } from '..';
import { ascending, isDone, numbers, pendingOf, publishAll, streamFor } from './support/durable';
import { eventually, Gate } from './support/eventually';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  let stream: StreamConfig;
  const open = (config: object = {}) => fixture.open({ streams: [stream], ...config });
  beforeEach(() => {
    stream = streamFor('*');
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
    // Long before a lease, which is 30 s, would have freed them.
    expect(performance.now() - since).toBeLessThan(15_000);
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
});
