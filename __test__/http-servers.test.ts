/** The same handler in the real servers: Node, Express 4 and 5, Fastify, Hono, and Fetch alone. */

import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import type { EventBusClient } from '..';
import { createHttpHandler, type HttpHandler } from '../http';
import { eventually } from './support/eventually';
import { type Frame, listen, post, type Running, StreamReader } from './support/http-server';
import { onBothTransports } from './support/transports';

const express4: typeof express = require('express4');

/** A server with the handler at `/bus`, and something else at `/other`. */
type Start = (make: (basePath?: string) => HttpHandler) => Promise<Running>;

const servers: [string, Start][] = [
  ['node:http', (make) => listen(make('/bus').node as any)],
  ...(
    [
      ['Express 5', express],
      ['Express 4', express4],
    ] as const
  ).flatMap(([name, framework]): [string, Start][] => [
    [
      name,
      (make) => {
        const app = framework();
        app.use('/bus', make().express);
        app.get('/bus/other', (_req, res) => void res.send('other'));
        return listen(app);
      },
    ],
    [
      `${name}, behind a parser of bodies`,
      (make) => {
        const app = framework();
        app.use(framework.json());
        app.use(make('/bus').express);
        app.get('/bus/other', (_req, res) => void res.send('other'));
        return listen(app);
      },
    ],
  ]),
  [
    'Fastify',
    async (make) => {
      const app = fastify();
      app.register(make().fastify, { prefix: '/bus' });
      app.get('/bus/other', () => 'other');
      // Parsers of the application are as they were.
      app.post('/echo', (request) => request.body);
      const url = await app.listen({ port: 0, host: '127.0.0.1' });
      const echo = await post(`${url}/echo`, { a: 1 });
      expect(await echo.json()).toEqual({ a: 1 });
      const stop = async () => {
        app.server.closeAllConnections();
        await app.close();
      };
      return { url, port: Number(new URL(url).port), stop };
    },
  ],
  [
    'Hono',
    (make) => {
      const app = new Hono();
      const handler = make('/bus');
      app.get('/bus/other', (c) => c.text('other'));
      app.all('/bus/*', (c) => handler.fetch(c.req.raw));
      return listen(getRequestListener(app.fetch) as any);
    },
  ],
];

onBothTransports((fixture) => {
  let bus: EventBusClient;
  let handler: HttpHandler;
  const make = (basePath?: string) => {
    handler = createHttpHandler(bus, {
      authorize: ({ url, headers }) => {
        expect(new URL(url).pathname).toMatch(/^\/bus\//);
        return headers.get('authorization') === 'Bearer key';
      },
      ...(basePath !== undefined && { basePath }),
    });
    return handler;
  };
  const headers = { authorization: 'Bearer key' };
  let count = 0;

  beforeEach(async () => {
    count += 1;
    bus = await fixture.open({ streams: [{ name: `orders-${count}`, events: 'order.*' }] });
  });

  test.each(servers)('%s', async (_, start) => {
    const server = await start(make);
    const base = `${server.url}/bus`;
    try {
      expect(await (await fetch(`${base}/health`)).json()).toEqual({ status: 'healthy' });
      for (const path of ['/history', '/metrics', '/stream']) {
        expect((await fetch(base + path)).status).toBe(403);
      }
      expect((await post(`${base}/publish`, { type: 'order.a' })).status).toBe(403);

      const reader = await StreamReader.open(`${base}/stream?pattern=order.*`, headers);
      expect(reader.status).toBe(200);
      expect(reader.headers['content-type']).toBe('text/event-stream');
      const published = await post(
        `${base}/publish`,
        { type: 'order.a', payload: { n: 'é\n' } },
        headers,
      );
      expect(published.status).toBe(200);
      const { eventId }: any = await published.json();
      const [frame] = (await reader.received(1)) as [Frame];
      expect(frame).toMatchObject({ id: eventId, data: { type: 'order.a', data: { n: 'é\n' } } });

      const history: any = await (await fetch(`${base}/history`, { headers })).json();
      expect(history.events).toEqual([frame.data]);
      expect(await (await fetch(`${base}/metrics`, { headers })).text()).toContain('oxbus_http_');
      const head = await fetch(`${base}/health`, { method: 'HEAD' });
      expect([head.status, await head.text()]).toEqual([200, '']);
      expect((await fetch(`${base}/nothing`)).status).toBe(404);
      if (server.url !== base && !_.startsWith('node')) {
        expect(await (await fetch(`${base}/other`)).text()).toBe('other');
      }

      reader.close();
      await eventually(() => handler.stats().streamsOpen === 0);
      expect(bus.subscriberCount()).toBe(0);
      const last = await StreamReader.open(`${base}/stream?pattern=order.*`, headers);
      await handler.close();
      await eventually(() => last.isClosed);
      expect((await fetch(`${base}/stream`, { headers })).status).toBe(503);
    } finally {
      await server.stop();
    }
  });

  test('Fetch alone', async () => {
    const { fetch: answer } = make('/bus');
    const ask = (path: string, init?: RequestInit) =>
      answer(new Request(`https://example.com/bus${path}`, init));
    expect((await ask('/stream')).status).toBe(403);
    const stream = await ask('/stream?pattern=order.*', { headers });
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    const body = '{"type":"order.a","payload":1}';
    const json = { ...headers, 'content-type': 'application/json' };
    const own = { ...json, origin: 'https://example.com' };
    expect((await ask('/publish', { method: 'POST', body, headers: own })).status).toBe(200);
    const foreign = { ...json, origin: 'https://evil.example' };
    expect((await ask('/publish', { method: 'POST', body, headers: foreign })).status).toBe(403);
    let text = '';
    while (!text.includes('order.a')) text += (await reader.read()).value;
    await reader.cancel();
    await eventually(() => handler.stats().streamsOpen === 0 && bus.subscriberCount() === 0);

    const controller = new AbortController();
    const { signal } = controller;
    const aborted = await ask('/stream', { headers, signal });
    expect(handler.stats().streamsOpen).toBe(1);
    controller.abort();
    await eventually(() => handler.stats().streamsOpen === 0);
    expect(await aborted.text()).toBe('retry: 2000\n\n');
    await handler.close();
  });

  test('HTTP/2', async () => {
    const { node } = make('/bus');
    const server = createHttp2((req, res) => void node(req as any, res as any));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const stream = client.request({ ':path': '/bus/stream?pattern=order.*', ...headers });
    let text = '';
    stream.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
    await eventually(() => handler.stats().streamsOpen === 1);
    await bus.publish('order.a', 1);
    await eventually(() => text.includes('"type":"order.a"'));
    stream.close();
    await eventually(() => handler.stats().streamsOpen === 0);
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
});
