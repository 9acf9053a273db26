/** A connection that looks at a server: it sends what it is told, and gives up what becomes too large. */

import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { encodeCommand, type Reply, ReplyError, readReply } from './reply';

/** Where a server is. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

/** How to log in to it. */
export interface Login {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: number | undefined;
  readonly tls?: ConnectionOptions | undefined;
}

export interface LinkOptions {
  /** How replies are read; default `'utf8'`. */
  readonly encoding?: 'utf8' | 'latin1';
  /** In ms, for connecting and for each command; default 5000. */
  readonly timeout?: number;
  /** The most bytes of one reply; a server that sends more is left. Default 4 MiB. */
  readonly maxReply?: number;
  /** Told of each message of a subscription. */
  readonly onMessage?: (channel: string, message: string) => void;
}

const TIMEOUT = 5000;
const MAX_REPLY = 4 << 20;

export const placeName = (place: Place): string =>
  'path' in place
    ? place.path
    : place.host.includes(':')
      ? `[${place.host}]:${place.port}`
      : `${place.host}:${place.port}`;

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

export class Link {
  readonly place: Place;
  readonly #onMessage: LinkOptions['onMessage'];
  readonly #socket: Socket;
  readonly #encoding: 'utf8' | 'latin1';
  readonly #timeout: number;
  readonly #maxReply: number;
  readonly #waiting: Waiting[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #ended: Error | undefined;

  /** Connects and logs in. Rejects with what kept it from it. */
  static async open(place: Place, login: Login, options: LinkOptions = {}): Promise<Link> {
    const timeout = options.timeout ?? TIMEOUT;
    const socket = await connected(place, login, timeout);
    const link = new Link(place, socket, options);
    try {
      const { username, password, database } = login;
      if (password !== undefined || username !== undefined) {
        const words = [...(username === undefined ? [] : [username]), password ?? ''];
        await link.command('AUTH', ...words);
      }
      if (database !== undefined && database !== 0) await link.command('SELECT', String(database));
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  private constructor(place: Place, socket: Socket, options: LinkOptions) {
    this.place = place;
    this.#socket = socket;
    this.#encoding = options.encoding ?? 'utf8';
    this.#timeout = options.timeout ?? TIMEOUT;
    this.#maxReply = options.maxReply ?? MAX_REPLY;
    this.#onMessage = options.onMessage;
    socket.on('data', (bytes) => this.#read(bytes));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error(`${placeName(place)} has closed the connection`)));
  }

  /** Rejects with a `ReplyError` where the server refuses. */
  async command(...words: string[]): Promise<Reply> {
    const reply = await this.#send(words);
    if (reply instanceof ReplyError) throw reply;
    return reply;
  }

  /** As `command`, with what the server refuses as undefined. What ends the connection rejects all the same. */
  async ask(...words: string[]): Promise<Reply | undefined> {
    const reply = await this.#send(words);
    return reply instanceof ReplyError ? undefined : reply;
  }

  close(): void {
    this.#end(new Error('the connection was closed'));
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  #send(words: readonly string[]): Promise<Reply> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const late = () => this.#end(new Error(`${placeName(this.place)} does not answer`));
      const timer = setTimeout(late, this.#timeout);
      this.#waiting.push({
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#socket.write(encodeCommand(words));
    });
  }

  #read(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    let from = 0;
    try {
      while (this.#ended === undefined) {
        const read = readReply(this.#bytes, from, this.#encoding);
        if (read === undefined) break;
        from = read.next;
        this.#take(read.reply);
      }
    } catch (error) {
      this.#end(error as Error);
      return;
    }
    this.#bytes = this.#bytes.subarray(from);
    if (this.#bytes.length > this.#maxReply) {
      this.#end(new RangeError(`an answer of ${placeName(this.place)} is too large to look at`));
    }
  }

  #take(reply: Reply): void {
    if (Array.isArray(reply) && this.#onMessage !== undefined) {
      const [kind] = reply;
      if (kind === 'pmessage' || kind === 'smessage') {
        const [channel, message] = reply.slice(-2);
        this.#onMessage(String(channel), String(message));
        return;
      }
      // A server says so by itself when the slot of a channel leaves it.
      if (kind === 'sunsubscribe') return;
    }
    this.#waiting.shift()?.resolve(reply);
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

function connected(place: Place, login: Login, timeout: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { tls } = login;
    const name = 'host' in place && isIP(place.host) === 0 ? { servername: place.host } : {};
    const socket =
      tls === undefined ? connectTcp({ ...place }) : connectTls({ ...place, ...name, ...tls });
    const end = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => end(new Error(`${placeName(place)} does not answer`)), timeout);
    socket.once('error', end);
    socket.once('close', () => clearTimeout(timer));
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', end);
      resolve(socket);
    });
  });
}
