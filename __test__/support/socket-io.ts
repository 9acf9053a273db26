/** Real Socket.IO servers and clients for the tests of `oxbus/socket.io`. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server, type ServerOptions } from 'socket.io';
import {
  io as connect,
  type ManagerOptions,
  type Socket,
  type SocketOptions,
} from 'socket.io-client';
import { EventBusClient, type EventBusConfig, type SocketIOConfig } from '../..';
import type { HubOptions } from '../../socket.io';
import { keepingLogger } from './transports';

/** Trusts its clients. */
export const trusting: HubOptions = {
  authorize: (_client, action) => (action.name === 'publish' ? { options: action.options } : true),
};

type Closing = () => unknown;

/** What the tests of a file open; closed in turn, the last one first. */
export class Opened {
  readonly #closing: Closing[] = [];

  add(close: Closing): void {
    this.#closing.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  /** A server on a free port, or on this one; with the address of a Redis it has an adapter there. */
  async server(
    options: Partial<ServerOptions> & { redis?: string; port?: number } = {},
  ): Promise<{ io: Server; url: string; port: number; close(): Promise<void>; clients: Redis[] }> {
    const { redis, port: at = 0, ...given } = options;
    const http = createServer();
    const io = new Server(http, { serveClient: false, ...given });
    const clients: Redis[] = [];
    if (redis !== undefined) {
      const publisher = new Redis(redis);
      clients.push(publisher, publisher.duplicate());
      io.adapter(createAdapter(publisher, clients[1]));
    }
    await new Promise<void>((resolve) => http.listen(at, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    let closed: Promise<void> | undefined;
    const close = () => {
      closed ??= io.close().then(() => {
        for (const client of clients) client.disconnect();
      });
      return closed;
    };
    this.add(close);
    return { io, url: `http://127.0.0.1:${port}`, port, close, clients };
  }

  /** A client of a hub. */
  hubClient(
    url: string,
    socketIO: Partial<SocketIOConfig> = {},
    config: EventBusConfig = {},
  ): EventBusClient {
    const all = { mode: 'socket.io', serviceName: 'photos', logger: keepingLogger() } as const;
    const client = new EventBusClient({ ...all, socketIO: { url, ...socketIO }, ...config });
    this.add(() => client.disconnect({ timeout: 500 }));
    return client;
  }

  /** A connected client of Socket.IO itself. */
  async client(
    url: string,
    options: Partial<ManagerOptions & SocketOptions> = {},
  ): Promise<Socket> {
    const socket = connect(url, { forceNew: true, transports: ['websocket'], ...options });
    this.add(() => socket.disconnect());
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    return socket;
  }
}

/** What a socket has heard of an event: its first argument. */
export function heard(socket: Socket, name: string): any[] {
  const all: any[] = [];
  socket.on(name, (value) => all.push(value));
  return all;
}
