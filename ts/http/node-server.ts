/** Requests and answers of `node:http`, which are those of Express and Fastify too. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpRequest } from '../../http';
import { clearTimeout, setTimeout } from '../runtime/clock';
import type { Answer, StreamSink } from './answer';
import { type Body, type Incoming, splitTarget } from './incoming';
import { Problem } from './problem';

/** Express leaves the whole target here when it takes a prefix off. */
type Message = IncomingMessage & { originalUrl?: string; body?: unknown };

/** `prefix` is taken off the path. */
export function fromNode(req: Message, prefix: string): Incoming {
  const target = req.url ?? '/';
  const { path, query } = splitTarget(target);
  return {
    method: req.method ?? 'GET',
    path: path.startsWith(prefix) ? path.slice(prefix.length) : path,
    query,
    header: (name) => headerOf(req, name),
    publicRequest: () => publicRequest(req),
    readBody: (limit, timeout) => readBody(req, limit, timeout),
  };
}

function headerOf(req: Message, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function publicRequest(req: Message): HttpRequest {
  const headers = new Headers();
  for (const [name, value] of Object.entries(req.headers)) {
    // Those of HTTP/2 that begin with a colon are no headers.
    if (value === undefined || name.startsWith(':')) continue;
    headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const scheme = 'encrypted' in req.socket ? 'https' : 'http';
  const host = req.headers.host ?? req.headers[':authority'] ?? 'localhost';
  const url = `${scheme}://${host}${req.originalUrl ?? req.url ?? '/'}`;
  return { method: req.method ?? 'GET', url, headers, raw: req };
}

function readBody(req: Message, limit: number, timeout: number): Promise<Body> {
  // A parser before the handler has taken the body.
  if (req.readableEnded) return Promise.resolve(readBefore(req.body, limit));
  if (Number(req.headers['content-length'] ?? 0) > limit) return Promise.reject(new Problem(413));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (end: () => void) => {
      clearTimeout(timer);
      req.off('data', data).off('end', ended).off('close', closed).off('error', closed);
      end();
    };
    const data = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limit) return;
      req.pause();
      settle(() => reject(new Problem(413)));
    };
    const ended = () => settle(() => resolve({ bytes: Buffer.concat(chunks) }));
    const closed = () => settle(() => reject(new Problem(400)));
    const timer = setTimeout(() => {
      req.pause();
      settle(() => reject(new Problem(408)));
    }, timeout);
    req.on('data', data).on('end', ended).on('close', closed).on('error', closed);
  });
}

function readBefore(body: unknown, limit: number): Body {
  if (body === undefined) throw new Problem(400, { detail: 'the body was read before' });
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  if (!(bytes instanceof Uint8Array)) return { parsed: body };
  if (bytes.length > limit) throw new Problem(413);
  return { bytes };
}

/** Writes an answer. Resolves when it is written, or its stream has begun. */
export function answerNode(answer: Answer, req: Message, res: ServerResponse): Promise<void> {
  const { stream, headers } = answer;
  if (res.headersSent || res.destroyed || res.writableEnded) {
    stream?.closed();
    return Promise.resolve();
  }
  // HTTP/2 knows no such header.
  const old = req.httpVersionMajor < 2;
  if (stream !== undefined) {
    openStream(answer, res, old);
    return Promise.resolve();
  }
  const body = Buffer.from(answer.body);
  const length = answer.status === 204 ? {} : { 'content-length': String(body.length) };
  const close = answer.close && old ? { connection: 'close' } : {};
  res.writeHead(answer.status, { ...headers, ...length, ...close });
  return new Promise((resolve) => {
    res.once('close', resolve);
    res.end(req.method === 'HEAD' ? undefined : body, () => resolve());
  });
}

function openStream({ status, headers, stream }: Answer, res: ServerResponse, old: boolean): void {
  if (stream === undefined) return;
  if (old) {
    // The stream ends with its connection, so that the bytes of an event need no frame of their own for each client.
    res.useChunkedEncodingByDefault = false;
    res.shouldKeepAlive = false;
  }
  res.writeHead(status, headers);
  res.once('close', () => stream.closed());
  // Told by `close` as well; without a listener it would end the process.
  res.on('error', () => {});
  res.socket?.setNoDelay(true);
  stream.open(new NodeSink(res));
}

class NodeSink implements StreamSink {
  readonly #res: ServerResponse;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  write(chunk: Uint8Array): void {
    this.#res.write(chunk);
  }

  pending(): number {
    return this.#res.writableLength;
  }

  drained(): Promise<void> {
    const res = this.#res;
    if (!res.writableNeedDrain || res.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        res.off('drain', done).off('close', done);
        resolve();
      };
      res.on('drain', done).on('close', done);
    });
  }

  end(): void {
    this.#res.end();
  }

  destroy(): void {
    this.#res.destroy();
  }
}
