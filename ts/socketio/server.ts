/** What is used of a Socket.IO 4 server, which the caller gives: this package does not import it. */

import type { SocketIOSocket } from '../../socket.io';
import { invalidAt } from '../errors';

/** Those who an `emit` goes to. */
export interface Operator {
  readonly volatile: Operator;
  to(rooms: string | string[]): Operator;
  emit(name: string, ...args: unknown[]): unknown;
}

/** The connection below a socket. */
export interface Connection {
  on(name: string, listener: (packet: { data?: unknown }) => void): unknown;
  off(name: string, listener: (packet: { data?: unknown }) => void): unknown;
  /** Without what waits, if `discard`. */
  close(discard?: boolean): unknown;
  readonly transport?: {
    /** Whether what is written goes to the network at once; what is volatile is left out otherwise. */
    readonly writable?: boolean;
    readonly socket?: { terminate?: () => void };
  };
}

/** Ends a connection whose other end takes nothing, without a word to it: a websocket would wait for its answer for 30 s. */
export function cutOff(connection: Connection): void {
  const { socket } = connection.transport ?? {};
  connection.close(true);
  socket?.terminate?.();
}

export interface Socket extends SocketIOSocket {
  readonly connected: boolean;
  readonly conn: Connection;
  readonly handshake: SocketIOSocket['handshake'] & { auth: Record<string, unknown> };
  join(room: string): unknown;
  leave(room: string): unknown;
  emit(name: string, ...args: unknown[]): unknown;
  on(name: string, listener: (...args: unknown[]) => void): unknown;
  off(name: string, listener: (...args: unknown[]) => void): unknown;
}

export type Middleware = (socket: Socket, next: (error?: Error) => void) => void;

export interface Namespace extends Operator {
  readonly name: string;
  readonly local: Operator;
  readonly adapter: { readonly rooms: ReadonlyMap<string, ReadonlySet<string>> };
  readonly sockets: ReadonlyMap<string, Socket>;
  use(middleware: Middleware): unknown;
  on(name: 'connection', listener: (socket: Socket) => void): unknown;
  off(name: 'connection', listener: (socket: Socket) => void): unknown;
}

/** The adapters of `socket.io` itself, which know the sockets of one process. */
const OF_ONE_PROCESS = ['Adapter', 'SessionAwareAdapter'];

/** The namespace of a server, or the namespace itself. Throws `INVALID_OPTIONS` for anything else. */
export function namespaceOf(io: unknown): Namespace {
  const given = io as { of?: (name: string) => unknown } | null | undefined;
  const namespace = (typeof given?.of === 'function' ? given.of('/') : given) as
    | Partial<Namespace>
    | null
    | undefined;
  if (
    typeof namespace?.use === 'function' &&
    namespace.sockets instanceof Map &&
    namespace.adapter?.rooms instanceof Map
  ) {
    return namespace as Namespace;
  }
  const message = 'must be a Server or a Namespace of Socket.IO 4';
  throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'io', message);
}

/** Whether what is emitted to a room reaches this process alone. */
export function isOfOneProcess({ adapter }: Namespace): boolean {
  return OF_ONE_PROCESS.includes(adapter.constructor.name);
}
