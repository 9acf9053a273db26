/** Server-sent events: what a client gets, and what it gets again when it comes back. */

import { EventSource } from 'eventsource';
import { type EventBusClient, type EventBusConfig, rawJson } from '..';
import { createHttpHandler, type HttpHandler, type HttpHandlerOptions } from '../http';
import { eventually } from './support/eventually';
import { listen, type Running, StreamReader } from './support/http-server';
import { losing } from './support/losing';
import { onBothTransports, onTransports } from './support/transports';

let bus: EventBusClient;
let handler: HttpHandler;
let server: Running;
let readers: StreamReader[] = [];
let count = 0;

async function serve(
  open: (config: EventBusConfig) => Promise<EventBusClient>,
  options: HttpHandlerOptions = {},
  config?: EventBusConfig,
) {
  count += 1;
  bus = await open(config ?? { streams: [{ name: `orders-${count}`, events: 'order.*' }] });
  handler = createHttpHandler(bus, { authorize: () => true, ...options });
  server = await listen(handler.node);
}

async function read(query: string, lastId?: string): Promise<StreamReader> {
  const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId };
  const reader = await StreamReader.open(`${server.url}/stream${query}`, headers);
  expect(reader.status).toBe(200);
  readers.push(reader);
  return reader;
}

const numbers = (reader: StreamReader) => reader.events.map(({ data }) => data.data);

afterEach(async () => {
  for (const reader of readers) reader.close();
  readers = [];
  await handler.close();
  await server.stop();
});

onBothTransports((fixture) => {
  const open = (config: EventBusConfig) => fixture.open(config);

  test('each client gets what its pattern matches, in order, from one subscription', async () => {
    await serve(open);
    const [one, two, other] = [
      await read('?pattern=order.*'),
      await read('?pattern=order.*'),
      await read('?pattern=x'),
    ];
    const all = await read('');
    expect(bus.subscriptions().map(({ pattern }) => pattern)).toEqual(['order.*', 'x', '*']);
    for (let n = 0; n < 100; n += 1) void bus.publish(n % 2 === 0 ? 'order.a' : 'y', n);
    await bus.publish('x', 'last');
    await eventually(() => all.events.length === 101 && other.events.length === 1);
    await Promise.all([one.received(50), two.received(50)]);
    const even = Array.from({ length: 50 }, (_, n) => 2 * n);
    expect([numbers(one), numbers(two)]).toEqual([even, even]);
    expect(numbers(all)).toEqual([...Array(100).keys(), 'last']);
    expect(handler.stats()).toMatchObject({ streamsOpen: 4, eventsSent: 202, gaps: 0 });
    one.close();
    await eventually(() => handler.stats().streamsOpen === 3);
    expect(bus.subscriberCount('order.*')).toBe(1);
    two.close();
    await eventually(() => bus.subscriberCount('order.*') === 0);
  });

  test('what is said of the answer keeps caches and proxies from holding it', async () => {
    await serve(open);
    const reader = await read('?pattern=order.*');
    const { headers } = reader;
    expect(headers['cache-control']).toBe('no-store, no-transform');
    expect(headers['x-accel-buffering']).toBe('no');
    expect(headers['x-content-type-options']).toBe('nosniff');
    await eventually(() => reader.text === 'retry: 2000\n\n');
  });

  test('an event is one line, whatever is in it', async () => {
    await serve(open);
    const reader = await read('?pattern=order.*');
    const text = '{"a":\r\n[1,\n2],"b":"\\n\\ndata: x\\u2028","n":12345678901234567890}';
    await bus.publish('order.a', rawJson(text), {
      id: 'ü: 1',
      key: 'data: 1',
      metadata: { note: '\n\nevent: gap\ndata: {}\n\n' },
    });
    const [frame] = await reader.received(1);
    expect(frame).toMatchObject({
      id: 'ü: 1',
      data: { id: 'ü: 1', type: 'order.a', data: { a: [1, 2], b: '\n\ndata: x\u2028' } },
    });
    expect(reader.text).toContain('12345678901234567890');
    expect(frame!.data.metadata.note).toBe('\n\nevent: gap\ndata: {}\n\n');
    expect(reader.frames).toHaveLength(1);
    const lines = reader.text.split(/\r\n|\r|\n/).filter((line) => line !== '');
    expect(lines.map((line) => line.slice(0, 4))).toEqual(['retr', 'id: ', 'data']);
  });

  test('rooms and users, by a name that would be a line of its own', async () => {
    await serve(open);
    const room = 'a\r\n\r\ndata: {"forged":true}\n\n';
    const query = `?pattern=${encodeURIComponent(`room:${room}`)}`;
    const refused = await StreamReader.open(`${server.url}/stream?pattern=a&pattern=b`);
    expect(refused.status).toBe(400);
    const back = await read(query, 'x');
    const reader = await read(query);
    // Its special characters are none in a room that has none.
    await bus.publishToRoom(room, 'order.a', 1);
    const [frame] = await reader.received(1);
    expect(frame!.data.metadata.room).toBe(room);
    expect(reader.frames).toHaveLength(1);
    // No stream keeps what rooms get.
    await back.received(1);
    expect(back.gaps).toEqual([{ event: 'gap', data: { after: 'x', reason: 'not-stored' } }]);
  });

  test('named events', async () => {
    await serve(open, { stream: { named: true, retry: 10 } });
    const reader = await read('?pattern=order.*');
    await bus.publish('order.a', 1);
    const [frame] = await reader.received(1);
    expect(frame!.event).toBe('order.a');
    expect(reader.text).toContain('retry: 10\n');
  });

  test('a client that comes back gets what it has missed, once and in order', async () => {
    await serve(open);
    const first = await read('?pattern=order.*');
    for (let n = 0; n < 3; n += 1) await bus.publish('order.a', n);
    const seen = await first.received(3);
    first.close();
    await eventually(() => handler.stats().streamsOpen === 0);
    for (let n = 3; n < 10; n += 1) await bus.publish(n === 5 ? 'order.b' : 'order.a', n);
    // Events go on coming while it catches up.
    const more = (async () => {
      for (let n = 10; n < 200; n += 1) await bus.publish('order.a', n);
    })();
    const second = await read('?pattern=order.*', seen[2]!.id);
    await more;
    await second.received(197);
    expect(numbers(second)).toEqual(Array.from({ length: 197 }, (_, n) => n + 3));
    expect(second.gaps).toEqual([]);
    const exact = await read('?pattern=order.b', second.events[0]!.id);
    await eventually(() => exact.gaps.length === 1);
    expect(exact.gaps[0]!.data).toEqual({ after: second.events[0]!.id, reason: 'not-found' });
    const query = await read(`?pattern=order.*&lastEventId=${second.events[195]!.id}`);
    expect((await query.received(1)).map(({ data }) => data.data)).toEqual([199]);
  });

  test('where something may be missing, a gap says so first', async () => {
    await serve(open, { stream: { maxResume: 5 } });
    const ids: string[] = [];
    for (let n = 0; n < 10; n += 1) ids.push((await bus.publish('order.a', n)).eventId);
    const gapOf = async (query: string, id: string) => {
      const reader = await read(query, id);
      await bus.publish('order.z', 'live');
      await eventually(() => numbers(reader).at(-1) === 'live');
      const first = reader.frames[0]!;
      reader.close();
      return [first.event === 'gap' && first.data.reason, numbers(reader)];
    };
    expect(await gapOf('?pattern=order.*', ids[9]!)).toEqual([false, ['live']]);
    // Too many, or none of ours.
    expect(await gapOf('?pattern=order.*', ids[0]!)).toEqual(['not-found', ['live']]);
    expect(await gapOf('?pattern=order.*', 'x'.repeat(5000))).toEqual(['not-found', ['live']]);
    // Not all that this pattern matches is stored.
    const last = (await bus.publish('order.a', 'last')).eventId;
    await bus.publish('order.b', 'kept');
    expect(await gapOf('', last)).toEqual(['not-stored', ['kept', 'live']]);
    expect(handler.stats().gaps).toBe(3);
  });

  test('where nothing is stored, a client that comes back is told so', async () => {
    await serve(open, {}, {});
    const reader = await read('?pattern=order.*', 'x');
    await eventually(() => reader.gaps.length === 1);
    expect(reader.gaps[0]!.data).toEqual({ after: 'x', reason: 'not-stored' });
    await bus.publish('order.a', 1);
    expect(await reader.received(1)).toHaveLength(1);
  });

  test('with persistence any type comes back', async () => {
    await serve(open, {}, { persistence: {} });
    const first = await read('');
    await bus.publish('a', 1);
    const [frame] = await first.received(1);
    first.close();
    await bus.publish('b', 2);
    const second = await read('', frame!.id);
    await second.received(1);
    expect([numbers(second), second.gaps]).toEqual([[2], []]);
  });

  test('EventSource comes back by itself when the server has restarted', async () => {
    await serve(open, { stream: { retry: 0 } });
    const source = new EventSource(`${server.url}/stream?pattern=order.*`);
    const seen: unknown[] = [];
    const gaps: unknown[] = [];
    source.onmessage = ({ data }) => seen.push(JSON.parse(data).data);
    source.addEventListener('gap', ({ data }) => gaps.push(data));
    try {
      await eventually(() => handler.stats().streamsOpen === 1);
      await bus.publish('order.a', 1);
      await eventually(() => seen.length === 1);
      // All connections are cut; while nobody listens, an event is published.
      const { port } = server;
      await server.stop();
      await eventually(() => handler.stats().streamsOpen === 0);
      await bus.publish('order.a', 2);
      server = await listen(handler.node as any, port);
      await eventually(() => seen.length === 2);
      await bus.publish('order.a', 3);
      await eventually(() => seen.length === 3);
      expect([seen, gaps]).toEqual([[1, 2, 3], []]);
    } finally {
      source.close();
    }
  });

  test('all streams end with the bus', async () => {
    await serve(open);
    const reader = await read('?pattern=order.*');
    await bus.disconnect();
    await eventually(() => reader.isClosed);
    expect(handler.stats()).toMatchObject({ streamsOpen: 0, slowClientsDropped: 0 });
  });
});

onTransports(['redis'], (fixture) => {
  test('messages of other programs break no line', async () => {
    await serve(
      (config) => fixture.open(config),
      { stream: { named: true } },
      { channelPrefix: 'raw:' },
    );
    const reader = await read('?pattern=*');
    const forged = JSON.stringify({
      id: 'a\n\ndata: {"forged":1}\n\n',
      type: 'x\ndata: {"forged":2}',
      data: '\r\n\r\n',
    });
    const pretty = JSON.stringify({ id: 'b', type: 'y', data: { a: [1, { b: 2 }] } }, null, 2);
    const publish = (text: string) =>
      fixture.server!.command(`PUBLISH raw:x ${JSON.stringify(text)}`);
    await publish(forged);
    await publish(pretty);
    await bus.publish('end', 1);
    await eventually(() => reader.frames.some(({ event }) => event === 'end'));
    expect(reader.text).not.toMatch(/^data: \{"forged/m);
    expect(reader.frames.find(({ id }) => id === 'b')?.data.data).toEqual({ a: [1, { b: 2 }] });
  });

  test('a lost connection to Redis is a gap for those it concerns', async () => {
    await serve((config) => fixture.open(config), {}, { redis: fixture.server!.url });
    const reader = await read('?pattern=live.*');
    await losing(bus, ['publisher', 'subscriber'], () => fixture.server!.kill());
    await fixture.server!.restart();
    await eventually(() => reader.gaps.length === 1);
    expect(reader.gaps[0]!.data).toMatchObject({ reason: 'connection-lost' });
    await bus.publish('live.a', 1);
    await reader.received(1);
  });

  test('a server that is away is 503, and leaves nothing behind', async () => {
    await serve(
      (config) => fixture.open(config),
      {},
      { redis: { url: fixture.server!.url, commandTimeout: 300 } },
    );
    await fixture.server!.kill();
    const refused = await StreamReader.open(`${server.url}/stream?pattern=a`);
    expect([503, 504]).toContain(refused.status);
    expect(handler.stats().streamsOpen).toBe(0);
    expect(bus.subscriberCount()).toBe(0);
    await fixture.server!.restart();
    await eventually(async () => {
      const reader = await StreamReader.open(`${server.url}/stream?pattern=a`);
      reader.close();
      return reader.status === 200;
    });
  });
});
