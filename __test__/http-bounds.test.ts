/** Clients that send too much, too slowly or not at all, and clients that do not read: bounded, counted, the bus unharmed. */

import { type EventBusClient, rawJson } from '..';
import { createHttpHandler, type HttpHandler, type HttpHandlerOptions } from '../http';
import { eventually } from './support/eventually';
import { listen, post, RawConnection, type Running, StreamReader } from './support/http-server';
import { onBothTransports } from './support/transports';

const MIB = 1 << 20;

onBothTransports((fixture) => {
  let bus: EventBusClient;
  let handler: HttpHandler;
  let server: Running;
  let connections: RawConnection[] = [];

  async function serve(options: HttpHandlerOptions = {}) {
    bus = await fixture.open();
    handler = createHttpHandler(bus, { authorize: () => true, ...options });
    server = await listen(handler.node as any);
  }

  async function connection(): Promise<RawConnection> {
    const one = await RawConnection.open(server.port);
    connections.push(one);
    return one;
  }

  const head = (framing: string) =>
    `POST /publish HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${framing}\r\n\r\n`;

  /** The bus, and whoever behaves, notice nothing. */
  async function isUnharmed() {
    const published = await post(`${server.url}/publish`, { type: 'a', payload: 1 });
    expect(published.status).toBe(200);
    expect((await bus.healthCheck()).status).toBe('healthy');
  }

  afterEach(async () => {
    for (const one of connections) one.close();
    connections = [];
    await handler.close();
    await server.stop();
  });

  test('a body that is too large is refused before it is read', async () => {
    await serve({ maxBodyBytes: 1000 });
    const announced = await connection();
    announced.write(head('content-length: 1001'));
    await eventually(() => announced.isClosed);
    expect(announced.text).toMatch(/^HTTP\/1\.1 413 .*"status":413}$/s);
    const streamed = await connection();
    streamed.write(head('transfer-encoding: chunked'));
    streamed.write(`200\r\n${'x'.repeat(0x200)}\r\n`);
    streamed.write(`200\r\n${'x'.repeat(0x200)}\r\n`);
    await eventually(() => streamed.isClosed);
    expect(streamed.text).toMatch(/^HTTP\/1\.1 413 /);
    const fits = `{"type":"a","payload":"${'x'.repeat(1000 - 25)}"}`;
    expect(fits).toHaveLength(1000);
    expect((await post(`${server.url}/publish`, fits)).status).toBe(200);
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const fetched = await handler.fetch(
      new Request('http://x/publish', { ...init, body: `${fits} ` }),
    );
    expect(fetched.status).toBe(413);
    expect(handler.stats()).toMatchObject({ bodiesAborted: 3, bodiesOpen: 0 });
    // An event of more than the bus takes is told by its code.
    await handler.close();
    await server.stop();
    await serve();
    const data = `{"type":"a","payload":"${'x'.repeat(600_000)}"}`;
    const answer = await post(`${server.url}/publish`, data);
    expect([answer.status, await answer.json()]).toMatchObject([
      413,
      { code: 'ERR_BUS_EVENT_TOO_LARGE', outcome: 'not_sent' },
    ]);
    await isUnharmed();
  });

  test('a body that never ends, or is cut off, is given up', async () => {
    await serve({ bodyTimeout: 200 });
    const slow = await connection();
    slow.write(`${head('content-length: 100')}{"type"`);
    const cut = await connection();
    cut.write(`${head('content-length: 100')}{"type"`);
    await eventually(() => handler.stats().bodiesOpen === 2);
    cut.close();
    await eventually(() => slow.isClosed && handler.stats().bodiesOpen === 0);
    expect(slow.text).toMatch(/^HTTP\/1\.1 408 /);
    const never = new ReadableStream({ pull: () => new Promise(() => {}) });
    const init = { method: 'POST', body: never, duplex: 'half' } as RequestInit;
    const headers = { 'content-type': 'application/json' };
    const fetched = await handler.fetch(new Request('http://x/publish', { ...init, headers }));
    expect(fetched.status).toBe(408);
    expect(handler.stats()).toMatchObject({ bodiesAborted: 3, bodiesOpen: 0 });
    await isUnharmed();
  });

  // It takes ten seconds, and the connections are the same on both transports.
  if (fixture.transport === 'redis') {
    test('5,000 connections that begin and do not go on', async () => {
      await serve({ maxBodies: 100, bodyTimeout: 60_000 });
      const most = 5000;
      // More at once would wait in vain for a place in the backlog.
      const turn = 250;
      for (let n = 0; n < most; n += turn) {
        const some = await Promise.all(Array.from({ length: turn }, connection));
        some.forEach((one, index) => {
          // A third sends nothing, a third half a head, a third half a body.
          if (index % 3 === 1) one.write('POST /publish HTTP/1.1\r\nhost: x\r\n');
          if (index % 3 === 2) one.write(`${head('content-length: 100')}{"type"`);
        });
      }
      const bodies =
        (most / turn) * [...Array(turn).keys()].filter((index) => index % 3 === 2).length;
      await eventually(() => handler.stats().bodiesOpen + handler.stats().refused === bodies);
      expect(handler.stats()).toMatchObject({ bodiesOpen: 100, refused: bodies - 100 });
      await eventually(
        () =>
          connections.filter(({ text }) => text.startsWith('HTTP/1.1 503')).length === bodies - 100,
      );
      expect((await post(`${server.url}/publish`, { type: 'a' })).status).toBe(503);
      for (const one of connections) one.close();
      await eventually(() => handler.stats().bodiesOpen === 0);
      expect(handler.stats().bodiesAborted).toBe(100);
      await isUnharmed();
    }, 60_000);
  }

  test('a client that never reads is dropped, and others get everything', async () => {
    await serve({ stream: { maxBufferBytes: 256 * 1024 } });
    const idle = await connection();
    idle.stopReading();
    idle.write('GET /stream?pattern=a HTTP/1.1\r\nhost: x\r\n\r\n');
    const reader = await StreamReader.open(`${server.url}/stream?pattern=a`);
    await eventually(() => handler.stats().streamsOpen === 2);
    const data = rawJson(JSON.stringify('x'.repeat(100_000)));
    let sent = 0;
    while (handler.stats().slowClientsDropped === 0 && sent < 1000) {
      sent += 1;
      await bus.publish('a', data);
      await reader.received(sent);
    }
    expect(handler.stats()).toMatchObject({ slowClientsDropped: 1, streamsOpen: 1 });
    // What the systems hold of a connection, and then no more than was allowed.
    expect(sent * 100_000).toBeLessThan(20 * MIB);
    await bus.publish('a', 'last');
    await reader.received(sent + 1);
    expect(reader.events.at(-1)?.data.data).toBe('last');
    reader.close();
    await isUnharmed();
  });

  test('a client for which little waits is dropped when it takes nothing between two heartbeats', async () => {
    await serve({ stream: { maxBufferBytes: 64 * MIB, heartbeat: 1000 } });
    const idle = await connection();
    idle.stopReading();
    idle.write('GET /stream?pattern=a HTTP/1.1\r\nhost: x\r\n\r\n');
    const reader = await StreamReader.open(`${server.url}/stream?pattern=a`);
    await eventually(() => handler.stats().streamsOpen === 2);
    const data = rawJson(JSON.stringify('x'.repeat(400_000)));
    for (let n = 0; n < 50; n += 1) await bus.publish('a', data);
    await reader.received(50);
    // 20 MB fit into what may wait, so that it is not their number.
    await eventually(() => handler.stats().slowClientsDropped === 1);
    // The other one takes little but all.
    await eventually(() => reader.text.endsWith(':\n\n'));
    expect(handler.stats()).toMatchObject({ slowClientsDropped: 1, streamsOpen: 1 });
    reader.close();
  });

  test('a Fetch response that nobody reads', async () => {
    await serve({ stream: { maxBufferBytes: 100_000 } });
    const unread = await handler.fetch(new Request('http://x/stream?pattern=a'));
    const data = 'x'.repeat(60_000);
    await bus.publish('a', data);
    await eventually(() => handler.stats().eventsSent === 1);
    expect(handler.stats().streamsOpen).toBe(1);
    await bus.publish('a', data);
    await eventually(() => handler.stats().slowClientsDropped === 1);
    expect(handler.stats().streamsOpen).toBe(0);
    await expect(unread.text()).rejects.toThrow('too slow');
  });

  test('streams beyond the bound are refused, and a place that is free is taken', async () => {
    await serve({ stream: { maxClients: 2 } });
    const open = () => StreamReader.open(`${server.url}/stream?pattern=a`);
    const [one, two] = [await open(), await open()];
    const refused = await open();
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5']);
    one.close();
    await eventually(() => handler.stats().streamsOpen === 1);
    const three = await open();
    expect([two.status, three.status]).toEqual([200, 200]);
    expect(handler.stats()).toMatchObject({ streamsOpened: 3, refused: 1 });
    two.close();
    three.close();
  });

  test('what is missed is brought back no faster than the client reads', async () => {
    bus = await fixture.open({ streams: [{ name: 'big', events: 'big' }] });
    handler = createHttpHandler(bus, {
      authorize: () => true,
      stream: { maxBufferBytes: 256 * 1024 },
    });
    server = await listen(handler.node as any);
    const first = (await bus.publish('big', 0)).eventId;
    const data = rawJson(JSON.stringify('x'.repeat(200_000)));
    for (let n = 0; n < 60; n += 1) await bus.publish('big', data);
    const idle = await connection();
    idle.stopReading();
    idle.write(`GET /stream?pattern=big HTTP/1.1\r\nhost: x\r\nlast-event-id: ${first}\r\n\r\n`);
    await eventually(() => handler.stats().eventsSent > 0);
    const reader = await StreamReader.open(`${server.url}/stream?pattern=big`, {
      'last-event-id': first,
    });
    await reader.received(60);
    expect(handler.stats().eventsSent).toBeLessThan(120);
    expect(handler.stats().slowClientsDropped).toBe(0);
    reader.close();
  });

  test('no header and no line can be forged by a request', async () => {
    await serve({ cors: { origins: ['https://app.example'] } });
    const target = encodeURIComponent('a\r\nset-cookie: x=1\r\n\r\ndata: {}');
    for (const path of [`/stream?pattern=${target}`, `/history?${target}=1`, `/${target}`]) {
      const one = await connection();
      one.write(`GET ${path} HTTP/1.1\r\nhost: x\r\norigin: https://app.example\r\n\r\n`);
      await eventually(() => one.text.includes('\r\n\r\n'));
      expect(one.text).not.toMatch(/^(set-cookie|data): /im);
    }
    const type = 'a\r\n\r\ndata: {"forged":1}';
    const answer = await post(`${server.url}/publish`, { type, payload: 1 });
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { code: 'ERR_BUS_INVALID_TYPE' },
    ]);
  });
});
