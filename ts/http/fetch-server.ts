/** Requests and answers of Fetch. */

import type { HttpRequest } from '../../http';
import { clearTimeout, setTimeout } from '../runtime/clock';
import type { Answer, OpenStream, StreamSink } from './answer';
import { type Body, type Incoming, splitTarget } from './incoming';
import { Problem } from './problem';

export function fromFetch(request: Request): Incoming {
  const url = new URL(request.url);
  const { path, query } = splitTarget(url.pathname + url.search);
  return {
    method: request.method,
    path,
    query,
    // Some servers leave the host to the URL.
    header: (name) => request.headers.get(name) ?? (name === 'host' ? url.host : undefined),
    publicRequest: (): HttpRequest => {
      const { method, headers } = request;
      return { method, url: request.url, headers, raw: request };
    },
    readBody: (limit, timeout) => readBody(request, limit, timeout),
  };
}

async function readBody(request: Request, limit: number, timeout: number): Promise<Body> {
  if (request.bodyUsed) throw new Problem(400, { detail: 'the body was read before' });
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw new Problem(413);
  if (request.body === null) return { bytes: new Uint8Array() };
  const reader = request.body.getReader();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => {});
  }, timeout);
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (late) throw new Problem(408);
      if (done) return { bytes: Buffer.concat(chunks) };
      size += value.length;
      if (size > limit) {
        reader.cancel().catch(() => {});
        throw new Problem(413);
      }
      chunks.push(value);
    }
  } catch (error) {
    // The client has gone.
    throw error instanceof Problem ? error : new Problem(late ? 408 : 400);
  } finally {
    clearTimeout(timer);
  }
}

/** `buffer`: bytes that may wait in a stream. */
export function answerFetch(answer: Answer, request: Request, buffer: number): Response {
  const { status, headers, stream, close } = answer;
  const head = new Headers(headers);
  if (close) head.set('connection', 'close');
  if (stream !== undefined) {
    return new Response(bodyOf(stream, request.signal, buffer), { status, headers: head });
  }
  const isEmpty = request.method === 'HEAD' || status === 204;
  return new Response(isEmpty ? null : answer.body, { status, headers: head });
}

function bodyOf(
  stream: OpenStream,
  signal: AbortSignal,
  buffer: number,
): ReadableStream<Uint8Array> {
  let sink: FetchSink | undefined;
  const closed = () => {
    signal.removeEventListener('abort', abort);
    stream.closed();
    sink?.wake();
  };
  // The client has gone: that is no error, and servers would log one.
  const abort = () => {
    sink?.end();
    closed();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        sink = new FetchSink(controller, buffer);
        signal.addEventListener('abort', abort);
        stream.open(sink);
        if (signal.aborted) abort();
      },
      pull() {
        sink?.wake();
      },
      cancel: closed,
    },
    { highWaterMark: buffer, size: (chunk) => chunk.length },
  );
}

class FetchSink implements StreamSink {
  readonly #controller: ReadableStreamDefaultController<Uint8Array>;
  readonly #buffer: number;
  #isOver = false;
  #waiting: (() => void)[] = [];

  constructor(controller: ReadableStreamDefaultController<Uint8Array>, buffer: number) {
    this.#controller = controller;
    this.#buffer = buffer;
  }

  write(chunk: Uint8Array): void {
    if (!this.#isOver) this.#controller.enqueue(chunk);
  }

  pending(): number {
    return this.#isOver ? 0 : this.#buffer - (this.#controller.desiredSize ?? 0);
  }

  drained(): Promise<void> {
    if (this.pending() < this.#buffer) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Something was taken, or the stream is over. */
  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller.close();
    this.wake();
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller.error(new Error('the client is too slow'));
    this.wake();
  }
}
