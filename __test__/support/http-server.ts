/** Real HTTP servers and real connections for the tests of `oxbus/http`. */

import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { eventually } from './eventually';

export interface Running {
  readonly port: number;
  readonly url: string;
  stop(): Promise<void>;
}

export type Listener = Parameters<typeof createServer>[1];

/** Listens on a free port, or on this one. */
export async function listen(listener: Listener | Server, at = 0): Promise<Running> {
  const server = typeof listener === 'function' ? createServer(listener) : (listener as Server);
  // `fetch` keeps connections, and fails where it uses one that the server is just closing.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface Frame {
  id?: string;
  event?: string;
  data?: any;
}

/** A client of server-sent events that reads lines as the specification has it. */
export class StreamReader {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly frames: Frame[] = [];
  text = '';
  isClosed = false;
  readonly #response: IncomingMessage;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      this.text += text;
      const parts = (rest + text).split(/\r\n\r\n|\n\n|\r\r/);
      rest = parts.pop() as string;
      for (const part of parts) this.#take(part);
    });
    const closed = () => {
      this.isClosed = true;
    };
    response.on('close', closed).on('error', closed);
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<StreamReader> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url, { headers, agent: false }, resolve).on('error', reject).end();
    });
    return new StreamReader(response);
  }

  close(): void {
    this.#response.destroy();
  }

  /** The events, without notices. */
  get events(): Frame[] {
    return this.frames.filter(({ event }) => event !== 'gap');
  }

  get gaps(): Frame[] {
    return this.frames.filter(({ event }) => event === 'gap');
  }

  async received(count: number): Promise<Frame[]> {
    await eventually(() => this.events.length >= count);
    return this.events;
  }

  #take(part: string): void {
    const frame: Frame = {};
    for (const line of part.split(/\r\n|\n|\r/)) {
      const at = line.indexOf(':');
      const name = at < 0 ? line : line.slice(0, at);
      const value = line.slice(at + 1).replace(/^ /, '');
      if (name === 'data') frame.data = (frame.data ?? '') + value;
      else if (name === 'id' || name === 'event') frame[name] = value;
    }
    if (frame.data === undefined) return;
    frame.data = JSON.parse(frame.data);
    this.frames.push(frame);
  }
}

/** A bare connection, for requests that no client would send. */
export class RawConnection {
  readonly socket: Socket;
  text = '';
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.text += data.toString('latin1');
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('error', () => {});
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    return new RawConnection(socket);
  }

  write(text: string): void {
    this.socket.write(text);
  }

  /** Reads nothing from here on. */
  stopReading(): void {
    this.socket.pause();
  }

  close(): void {
    this.socket.destroy();
  }
}

export function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}
