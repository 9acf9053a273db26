/** The metrics as Prometheus reads them. */

import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import { EventBusClient } from '..';
import { rawRedisOf } from './support/durable';
import { eventually } from './support/eventually';
import { Page } from './support/prometheus';
import { RedisServer } from './support/redis-server';
import { onBothTransports, onTransports } from './support/transports';

const BUCKETS = ['1', '5', '10', '25', '50', '100', '250', '500', '1000', '2500', '5000', '+Inf'];
/** Within which a scrape is answered, in ms: a second, and the rest for a busy machine. A command may take 5 s. */
const LIMIT = 4000;

const ORDERS = { name: 'or"d\\ers', events: 'order.*', consumerGroups: ['billing', 'mail'] };

/** Waits until so many handler calls have succeeded. */
const delivered = (bus: EventBusClient, count: number) =>
  eventually(() => bus.getStats().eventsDelivered === count);

onBothTransports((fixture) => {
  test('publishes, handler calls and streams, by type, stream and group', async () => {
    const bus = await fixture.open({ streams: [ORDERS] });
    let failures = 1;
    const flaky = () => {
      failures -= 1;
      if (failures >= 0) throw new Error('once');
    };
    const retry = { initialDelay: 1, maxDelay: 1 };
    await bus.subscribe('order.*', flaky, { group: 'billing', retry });
    await bus.subscribe('order.*', () => {}, { group: 'mail', batch: { size: 2 } });
    await bus.subscribe('note', () => {});
    for (const type of ['order.placed', 'order.placed', 'order.paid', 'note']) {
      await bus.publish(type, 1);
    }
    await bus.publish('order.placed', 1, { stream: false });
    await eventually(async () => {
      const page = new Page(await bus.metrics());
      const consumed = (stream: string, consumer_group: string) =>
        page.value('eventbus_messages_consumed_total', { stream, consumer_group });
      expect(consumed(ORDERS.name, 'billing')).toBe(3);
      expect(consumed(ORDERS.name, 'mail')).toBe(3);
      expect(consumed('', '')).toBe(1);
    });
    const page = new Page(await bus.metrics());
    const published = (stream: string, event_type: string) =>
      page.value('eventbus_messages_published_total', { stream, event_type });
    expect(published(ORDERS.name, 'order.placed')).toBe(2);
    expect(published(ORDERS.name, 'order.paid')).toBe(1);
    expect(published('', 'order.placed')).toBe(1);
    expect(published('', 'note')).toBe(1);

    const name = 'eventbus_message_processing_duration_ms';
    expect(page.types.get(name)).toBe('HISTOGRAM');
    const labels = { stream: ORDERS.name, event_type: 'order.placed' };
    const counts = BUCKETS.map((le) => page.value(`${name}_bucket`, { ...labels, le }));
    // Two events for two groups, and perhaps the call that failed.
    const calls = page.value(`${name}_count`, labels);
    expect([4, 5]).toContain(calls);
    expect(counts).toEqual([...counts].sort((a, b) => Number(a) - Number(b)));
    expect([counts.at(-1), page.all(`${name}_bucket`).length]).toEqual([calls, BUCKETS.length * 3]);
    expect(page.value(`${name}_sum`, labels)).toBeGreaterThan(0);
    // A batch of two is two events.
    expect(page.all(`${name}_count`).reduce((sum, { value }) => sum + value, 0)).toBe(8);

    expect(page.value('eventbus_stream_length', { stream: ORDERS.name })).toBe(3);
    const connection_type = fixture.transport === 'redis' ? 'reader' : 'memory';
    const connections = fixture.transport === 'redis' ? 2 : 1;
    expect(page.value('eventbus_active_connections', { connection_type })).toBe(connections);
    for (const consumer_group of ORDERS.consumerGroups) {
      const labels = { stream: ORDERS.name, consumer_group };
      expect(page.value('oxbus_group_lag', labels)).toBeGreaterThanOrEqual(0);
      expect(page.value('oxbus_group_pending', labels)).toBeGreaterThanOrEqual(0);
      expect(page.value('oxbus_group_backlog', labels)).toBeGreaterThanOrEqual(0);
      expect(page.value('oxbus_group_delayed', labels)).toBe(0);
      expect(page.value('oxbus_group_waiting_consumers', labels)).toBeGreaterThanOrEqual(0);
    }
    const { eventsPublished, handlerErrors, mode } = bus.getStats();
    expect(page.value('oxbus_events_published_total')).toBe(eventsPublished);
    expect(page.value('oxbus_handler_errors_total')).toBe(handlerErrors);
    expect(page.value('oxbus_mode', { mode })).toBe(1);
    await bus.disconnect();
    expect(new Page(await bus.metrics()).value('oxbus_events_published_total')).toBe(5);
  });

  test('a stored event is consumed once by a group, and delivered once to each subscription', async () => {
    const bus = await fixture.open({ streams: [{ ...ORDERS, realtime: ['order.live'] }] });
    const group = 'billing';
    await bus.subscribe('order.*', () => {}, { group });
    await bus.subscribe('order.p*', () => {}, { group, batch: { size: 2, wait: 5 } });
    const failing = () => {
      throw new Error('no');
    };
    await bus.subscribe('order.bad', failing, { group, retryOnError: false });
    await bus.subscribe('note', () => {});
    await bus.subscribe('n*', () => {});
    for (const type of ['order.placed', 'order.paid', 'order.bad', 'note']) {
      await bus.publish(type, 1);
    }
    await eventually(() => bus.getStats().eventsDeadLettered === 1);
    // Two of the group and one of another of its subscriptions each, the one that succeeded with the bad one, two notes.
    await delivered(bus, 7);
    const consumed = async (stream: string, consumer_group: string) =>
      new Page(await bus.metrics()).value('eventbus_messages_consumed_total', {
        stream,
        consumer_group,
      });
    // The bad one is a dead letter.
    expect(await consumed(ORDERS.name, group)).toBe(2);
    expect(await consumed('', '')).toBe(2);
    expect(bus.getStats()).toMatchObject({ eventsDelivered: 7, eventsFailed: 1, errorRate: 1 / 8 });
  });

  test('events beyond 200 types share a label', async () => {
    const bus = await fixture.open();
    await bus.subscribe('*', () => {});
    const types = Array.from({ length: 300 }, (_, n) => `type.${n}`);
    await bus.publishBatch(types.map((type) => ({ type, data: null })));
    await bus.publish('_other', 1);
    await delivered(bus, 301);
    const page = new Page(await bus.metrics());
    for (const name of [
      'eventbus_messages_published_total',
      'eventbus_message_processing_duration_ms_count',
    ]) {
      const samples = page.all(name);
      const other = samples.find(({ labels }) => labels.event_type === '_other');
      expect([samples.length, other?.value]).toEqual([201, 101]);
    }
  });

  test('they stand beside those of a prom-client registry', async () => {
    const bus = await fixture.open({ streams: [ORDERS] });
    await bus.publish('order.placed', 1);
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    new Counter({ name: 'requests_total', help: 'Requests', registers: [registry] }).inc();
    const [theirs, ours] = await Promise.all([registry.metrics(), bus.metrics()]);
    const page = new Page(`${theirs}\n${ours}`);
    expect(page.value('requests_total')).toBe(1);
    expect(page.value('oxbus_events_published_total')).toBe(1);
    const [their, own] = [new Page(theirs).types, new Page(ours).types];
    expect([...own.keys()].filter((name) => their.has(name))).toEqual([]);
    registry.clear();
  });
});

onTransports(['redis'], (fixture) => {
  test('a storm of scrapes asks for streams once', async () => {
    const bus = await fixture.open({ streams: [ORDERS] });
    await bus.publish('order.placed', 1);
    const raw = rawRedisOf(fixture);
    const asked = async () =>
      (await raw.redis.info('commandstats')).match(/xinfo\|stream:calls=(\d+)/)?.[1];
    await bus.metrics();
    const before = await asked();
    expect(Number(before)).toBeGreaterThan(0);
    await Promise.all(Array.from({ length: 200 }, () => bus.metrics()));
    expect(await asked()).toBe(before);
    raw.close();
  });
});

test('while Redis is away, what was known of streams stays', async () => {
  const server = await RedisServer.start();
  try {
    const bus = new EventBusClient({ redis: server.url, streams: [ORDERS], logLevel: 'error' });
    await bus.connect();
    await bus.publish('order.placed', 1);
    const length = async () =>
      new Page(await bus.metrics()).value('eventbus_stream_length', { stream: ORDERS.name });
    expect(await length()).toBe(1);
    await server.kill();
    await eventually(() => bus.state === 'reconnecting');
    const started = performance.now();
    expect(await length()).toBe(1);
    expect(performance.now() - started).toBeLessThan(LIMIT);
    const up = new Page(await bus.metrics()).value('eventbus_active_connections', {
      connection_type: 'publisher',
    });
    expect(up).toBe(0);
    await bus.disconnect();
  } finally {
    await server.stop();
  }
});
