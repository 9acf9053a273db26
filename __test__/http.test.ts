/** The routes of `oxbus/http`, over real connections, and who may use them. */

import { EventBusClient, type EventBusConfig } from '..';
import { createHttpHandler, type HttpHandler, type HttpHandlerOptions } from '../http';
import { eventually } from './support/eventually';
import { listen, post, type Running } from './support/http-server';
import { Page } from './support/prometheus';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  let bus: EventBusClient;
  let server: Running;
  let handler: HttpHandler;
  let stream = '';
  let count = 0;

  async function serve(options?: HttpHandlerOptions, config?: EventBusConfig) {
    count += 1;
    stream = `photos-${count}`;
    bus = await fixture.open(config ?? { streams: [{ name: stream, events: 'photo.*' }] });
    handler = createHttpHandler(bus, options);
    server = await listen(handler.node);
    return server.url;
  }

  afterEach(async () => {
    await handler.close();
    await server.stop();
  });

  const all = { authorize: () => true } as const;

  test('everything but the bare status is refused without authorize', async () => {
    const url = await serve();
    const seen: unknown[] = [];
    await bus.subscribe('*', (event) => seen.push(event));
    const status = await fetch(`${url}/health`);
    expect([status.status, await status.json()]).toEqual([200, { status: 'healthy' }]);
    for (const path of ['/history', '/metrics', '/stream?pattern=photo.*']) {
      const refused = await fetch(url + path);
      expect(refused.status).toBe(403);
      expect(refused.headers.get('content-type')).toBe('application/problem+json');
      expect(await refused.json()).toEqual({
        type: 'about:blank',
        title: 'Forbidden',
        status: 403,
      });
    }
    expect((await post(`${url}/publish`, { type: 'photo.a' })).status).toBe(403);
    expect(handler.stats()).toMatchObject({ requests: 5, denied: 4 });
    expect(bus.subscriberCount()).toBe(1);
    expect(bus.getStats().eventsPublished).toBe(0);
    expect(seen).toEqual([]);
  });

  test('authorize sees the request and what it wants to do', async () => {
    const seen: unknown[] = [];
    const url = await serve({
      authorize({ method, url, headers }, action) {
        seen.push([method, new URL(url).pathname, headers.get('x-key'), action]);
        return false;
      },
    });
    const headers = { 'x-key': 'k' };
    await fetch(`${url}/health`, { headers });
    await fetch(`${url}/history?eventType=photo.*`, { headers });
    await fetch(`${url}/metrics`, { headers });
    await fetch(`${url}/stream?pattern=room:7`, { headers });
    await post(`${url}/publish`, { type: 'a.b', options: { source: 'me' } }, headers);
    expect(seen).toEqual([
      ['GET', '/health', 'k', { name: 'health' }],
      ['GET', '/history', 'k', { name: 'history', type: 'photo.*' }],
      ['GET', '/metrics', 'k', { name: 'metrics' }],
      ['GET', '/stream', 'k', { name: 'stream', pattern: 'room:7' }],
      ['POST', '/publish', 'k', { name: 'publish', type: 'a.b', options: { source: 'me' } }],
    ]);
  });

  test('only what authorize may answer allows; an error in it tells the client nothing', async () => {
    const errors: unknown[] = [];
    let answer: () => unknown = () => true;
    const url = await serve({ authorize: () => answer() as any, onError: (e) => errors.push(e) });
    const statusFor = async (given: () => unknown) => {
      answer = given;
      return (await fetch(`${url}/metrics`)).status;
    };
    expect(await statusFor(() => true)).toBe(200);
    expect(await statusFor(() => Promise.resolve({ options: {} }))).toBe(200);
    expect(await statusFor(() => undefined)).toBe(403);
    expect(await statusFor(() => null)).toBe(403);
    expect(errors).toEqual([]);
    for (const wrong of ['yes', 1, {}, { user: 'ann' }, { refuse: 200 }, [true]]) {
      expect(await statusFor(() => wrong)).toBe(500);
    }
    expect(errors).toHaveLength(6);
    answer = () => {
      throw new Error('secret');
    };
    const failed = await fetch(`${url}/metrics`);
    expect(await failed.text()).toBe(
      '{"type":"about:blank","title":"Internal Server Error","status":500}',
    );
    expect(errors.at(-1)).toEqual(new Error('secret'));
    answer = () => ({ refuse: 401, challenge: 'Bearer realm="bus"' });
    const unknown = await fetch(`${url}/metrics`);
    expect(unknown.status).toBe(401);
    expect(unknown.headers.get('www-authenticate')).toBe('Bearer realm="bus"');
    expect(await statusFor(() => ({ refuse: 401, challenge: 'a\r\nset-cookie: b' }))).toBe(500);
  });

  test('a publish reaches the subscribers, and its data is not read', async () => {
    const url = await serve(all);
    const seen: any[] = [];
    const raw: any[] = [];
    await bus.subscribe('photo.*', (event) => seen.push(event));
    await bus.subscribe('photo.*', (event) => raw.push(event.data.text), { data: 'raw' });
    const text = '{"n":12345678901234567890,"s":"a\\"}]\\\\","d":1.50,"e":[{}]}';
    const published = await post(`${url}/publish`, `{ "type" : "photo.a", "payload": ${text} }`);
    expect(published.status).toBe(200);
    const result: any = await published.json();
    expect(result).toMatchObject({ type: 'photo.a', stream });
    expect((await post(`${url}/publish`, '{"data":[1],"type":"photo.b"}')).status).toBe(200);
    expect((await post(`${url}/publish`, { type: 'photo.c' })).status).toBe(200);
    await eventually(() => raw.length === 3 && seen.length === 3);
    expect(raw).toEqual([text, '[1]', 'null']);
    expect(seen[0].id).toBe(result.eventId);
  });

  test('the options of a publish are those of authorize', async () => {
    const url = await serve({
      authorize: (_, action) =>
        action.name === 'publish' ? { options: { source: 'gateway', userId: 'ann' } } : false,
    });
    const seen: any[] = [];
    await bus.subscribe('photo.*', (event) => seen.push(event.metadata));
    const options = { source: 'forged', userId: 'bob', id: 'x' };
    expect((await post(`${url}/publish`, { type: 'photo.a', options })).status).toBe(200);
    await eventually(() => seen.length === 1);
    expect(seen[0]).toMatchObject({ source: 'gateway', userId: 'ann' });
    expect(seen[0].correlationId).not.toBe('x');
  });

  test('wrong bodies are refused with the reason', async () => {
    const url = await serve(all);
    const detail = async (body: string) => {
      const answer = await post(`${url}/publish`, body);
      expect(answer.status).toBe(400);
      const problem: any = await answer.json();
      expect(problem).toMatchObject({ status: 400, title: 'Bad Request' });
      return problem;
    };
    for (const body of ['', '[]', '"a"', '{', '{"type":"a"', '{"type":"a",}', '{"type":"a"}x']) {
      await detail(body);
    }
    expect((await detail('{"payload":1}')).detail).toContain('type');
    expect((await detail('{"type":1}')).detail).toContain('type');
    expect((await detail('{"type":"a","type":"b"}')).detail).toContain('twice');
    expect((await detail('{"type":"a","\\u0074ype":"b"}')).detail).toContain('twice');
    expect((await detail('{"type":"a","payload":1,"data":2}')).detail).toContain('payload');
    expect((await detail('{"type":"a","room":"b"}')).detail).toContain('room');
    expect((await detail('{"type":"a","payload":{]}')).code).toBe('ERR_BUS_INVALID_DATA');
    expect((await detail('{"type":"a","payload":nul}')).code).toBe('ERR_BUS_INVALID_DATA');
    expect((await detail('{"type":"a b"}')).code).toBe('ERR_BUS_INVALID_TYPE');
    expect((await detail('{"type":"room:1"}')).code).toBe('ERR_BUS_INVALID_TYPE');
    expect(bus.getStats().eventsPublished).toBe(0);
  });

  test('wrong options of authorize are our fault, and the client learns nothing of them', async () => {
    const errors: any[] = [];
    const url = await serve({
      authorize: () => ({ options: { nonsense: 1 } as any }),
      onError: (error) => errors.push(error),
    });
    const answer = await post(`${url}/publish`, { type: 'photo.a' });
    expect([answer.status, await answer.text()]).toEqual([
      500,
      '{"type":"about:blank","title":"Internal Server Error","status":500}',
    ]);
    expect(errors.map(({ code }) => code)).toEqual(['ERR_BUS_INVALID_OPTIONS']);
  });

  test('history by type, time, order, limit and correlation', async () => {
    const url = await serve(all);
    const before = Date.now() - 60_000;
    await bus.publish('photo.a', { n: 1 }, { correlationId: 'c1' });
    await bus.publish('photo.b', { n: 2 }, { correlationId: 'c2' });
    await bus.publish('photo.a', { n: 3 }, { correlationId: 'c1' });
    const ask = async (query: string) => {
      const answer = await fetch(`${url}/history${query}`);
      expect(answer.status).toBe(200);
      const { events, complete }: any = await answer.json();
      expect(complete).toBe(true);
      return events.map(({ data }: any) => data.n);
    };
    expect(await ask('')).toEqual([1, 2, 3]);
    expect(await ask('?eventType=photo.a')).toEqual([1, 3]);
    expect(await ask('?type=photo.b&source=redis')).toEqual([2]);
    expect(await ask('?order=desc&limit=2')).toEqual([3, 2]);
    expect(await ask('?correlationId=c1')).toEqual([1, 3]);
    expect(await ask('?correlationId=c1&limit=1&order=desc')).toEqual([3]);
    expect(await ask(`?from=${before}`)).toEqual([1, 2, 3]);
    expect(await ask(`?to=${new Date(before).toISOString()}`)).toEqual([]);
    for (const wrong of ['limit=0', 'limit=1001', 'limit=x', 'from=x', 'to=1-2', 'order=up']) {
      expect((await fetch(`${url}/history?${wrong}`)).status).toBe(400);
    }
    for (const wrong of ['source=disk', 'type=a&eventType=b', 'type=a&type=b', 'types=a']) {
      expect((await fetch(`${url}/history?${wrong}`)).status).toBe(400);
    }
  });

  test('without a history there is none', async () => {
    const url = await serve(all, {});
    expect((await fetch(`${url}/history`)).status).toBe(404);
  });

  test('health, for probes and for those who may see more', async () => {
    const url = await serve({ authorize: ({ headers }) => headers.has('authorization') });
    const bare = await fetch(`${url}/health`);
    expect([bare.status, await bare.json()]).toEqual([200, { status: 'healthy' }]);
    const whole = await fetch(`${url}/health`, { headers: { authorization: 'x' } });
    expect(await whole.json()).toMatchObject({ status: 'healthy', streams: { [stream]: {} } });
    const head = await fetch(`${url}/health`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await fetch(`${url}/health?live`)).status).toBe(200);
    await bus.disconnect();
    expect((await fetch(`${url}/health?live`)).status).toBe(503);
    await eventually(async () => (await fetch(`${url}/health`)).status === 503);
    const publish = await createdPublish(url);
    expect(publish).toMatchObject([403, {}]);
  });

  async function createdPublish(url: string): Promise<[number, unknown]> {
    const answer = await post(`${url}/publish`, { type: 'photo.a' });
    return [answer.status, await answer.json()];
  }

  test('a closed bus is 503, with the code and the outcome', async () => {
    const url = await serve(all);
    await bus.disconnect();
    expect(await createdPublish(url)).toMatchObject([
      503,
      { code: 'ERR_BUS_CLOSED', outcome: 'not_sent' },
    ]);
    expect((await fetch(`${url}/stream`)).status).toBe(503);
    expect(handler.stats().streamsOpen).toBe(0);
  });

  test('metrics are those of the bus and of the handler', async () => {
    const url = await serve(all);
    await post(`${url}/publish`, { type: 'photo.a' });
    const answer = await fetch(`${url}/metrics`);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await answer.text();
    expect(text).toContain('event_type="photo.a"} 1\n');
    expect(text).toContain('\noxbus_http_requests_total 2\n');
    expect(new Page(text).all('oxbus_http_requests_total')).toEqual([{ labels: {}, value: 2 }]);
  });

  test('methods, paths and types of content', async () => {
    const url = await serve({ ...all, basePath: '/api/events' });
    const base = `${url}/api/events`;
    for (const path of ['/health', '/api/events', '/api/events/', '/api/events/health/x']) {
      expect((await fetch(url + path)).status).toBe(404);
    }
    for (const path of ['/api/events/toString', '/api/events/__proto__', '/api/eventsx/health']) {
      expect((await fetch(url + path)).status).toBe(404);
    }
    const wrong = await fetch(`${base}/publish`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await fetch(`${base}/metrics`, { method });
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
    expect((await fetch(`${base}/stream`, { method: 'HEAD' })).status).toBe(405);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/json', '']) {
      const headers = { 'content-type': type };
      expect((await post(`${base}/publish`, { type: 'photo.a' }, headers)).status).toBe(415);
    }
    const gzip = { 'content-encoding': 'gzip' };
    expect((await post(`${base}/publish`, { type: 'photo.a' }, gzip)).status).toBe(415);
    const vendor = { 'content-type': 'application/vnd.x+json; charset=utf-8' };
    expect((await post(`${base}/publish`, { type: 'photo.a' }, vendor)).status).toBe(200);
  });

  test('a page of another origin may neither publish nor read, unless it was asked for', async () => {
    const url = await serve(all);
    const body = { type: 'photo.a' };
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1']) {
      expect((await post(`${url}/publish`, body, { origin })).status).toBe(403);
    }
    expect((await post(`${url}/publish`, body, { origin: url })).status).toBe(200);
    const read = await fetch(`${url}/metrics`, { headers: { origin: 'https://evil.example' } });
    expect(read.headers.get('access-control-allow-origin')).toBeNull();
    await handler.close();
    await server.stop();

    const cors = { origins: ['https://app.example'], credentials: true };
    const shared = await serve({ ...all, cors });
    const origin = 'https://app.example';
    const answer = await post(`${shared}/publish`, body, { origin });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
    expect(answer.headers.get('vary')).toBe('Origin');
    const preflight = await fetch(`${shared}/publish`, { method: 'OPTIONS', headers: { origin } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')).toBe('POST');
    const foreign = { origin: 'https://evil.example' };
    expect((await post(`${shared}/publish`, body, foreign)).status).toBe(403);
    const other = await fetch(`${shared}/publish`, { method: 'OPTIONS', headers: foreign });
    expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });
});

test('wrong options are refused with their path', () => {
  const bus = new EventBusClient({ mode: 'memory', logLevel: 'silent' });
  const cases: [unknown, string][] = [
    [{ authorise: () => true }, 'authorise'],
    [{ authorize: true }, 'authorize'],
    [{ basePath: 'api' }, 'basePath'],
    [{ basePath: '/api/' }, 'basePath'],
    [{ maxBodyBytes: 0 }, 'maxBodyBytes'],
    [{ cors: { origins: '*', credentials: true } }, 'cors.credentials'],
    [{ cors: { origins: ['https://a.example/'] } }, 'cors.origins'],
    [{ cors: {} }, 'cors.origins'],
    [{ stream: { heartbeat: 10 } }, 'stream.heartbeat'],
    [{ stream: { maxClient: 10 } }, 'stream.maxClient'],
  ];
  for (const [options, path] of cases) {
    const make = () => createHttpHandler(bus, options as HttpHandlerOptions);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_BUS_INVALID_OPTIONS', path }));
  }
  expect(() => createHttpHandler({} as any)).toThrow(expect.objectContaining({ path: 'bus' }));
});
