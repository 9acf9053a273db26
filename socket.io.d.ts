/*
 * `oxbus/socket.io`: a bus and Socket.IO 4. `attachSocketIO` brings events to the sockets of a server; `createHub` makes a
 * server the hub of services and browsers, and `mode: 'socket.io'` is the client of a hub, which this entry brings: a program
 * that uses it imports the entry once. All durations are milliseconds, all sizes bytes.
 *
 * `socket.io` and `socket.io-client` are optional peer dependencies: the first is given by the caller, the second is loaded when a
 * client of a hub is made.
 */

import type { EventBusClient, PublishOptions } from './index';

/** A `Server` or a `Namespace` of Socket.IO 4; a `Server` stands for its namespace `/`. */
export interface SocketIOTarget {
  readonly local: object;
  use(middleware: never): unknown;
}

/** What is known of a socket of the server. */
export interface SocketIOSocket {
  readonly id: string;
  readonly rooms: ReadonlySet<string>;
  readonly handshake: {
    readonly auth: Record<string, unknown>;
    readonly headers: Record<string, string | string[] | undefined>;
    readonly query: Record<string, unknown>;
    readonly address: string;
  };
  /** What the application keeps with the socket. */
  // biome-ignore lint/suspicious/noExplicitAny: it is the application's
  data: any;
}

/** Which events go to which sockets. */
export interface SocketIORoute {
  /** The pattern, or patterns, of the types; as for `subscribe`. */
  readonly on: string | readonly string[];
  /**
   * `'all'`: all sockets of the namespace. Otherwise a template of a room, such as `'campaign:{data.campaignId}'`: a path in braces
   * stands for what the event has there, a text that is not empty, a number or a boolean. `{a|b}` is the first of two paths that
   * has one. An event without it is not emitted, and is counted in `missingField`.
   */
  readonly to: string;
  /** The name of the Socket.IO event; its argument is the `BusEvent`. */
  readonly emit: string;
  /** Whether a socket that cannot take it now is passed over, and counted in `passedOver`; default false. */
  readonly volatile?: boolean | undefined;
}

/** Rooms that sockets may join by themselves. */
export interface SocketIORooms {
  /** Whether the socket may join. Anything but `true`, and a throw, denies. */
  readonly authorize: (socket: SocketIOSocket, room: string) => unknown;
  /** The event by which a socket joins; its arguments are the room and an acknowledgement. Default `'join'`. */
  readonly join?: string | undefined;
  /** The same for leaving; default `'leave'`. */
  readonly leave?: string | undefined;
  /** Rooms of one socket, 1–100 000; default 100. Beyond: `QUEUE_FULL`. */
  readonly maxRooms?: number | undefined;
}

/** Options of {@link attachSocketIO}. Unknown keys and bad values: `INVALID_OPTIONS` naming the path. */
export interface AttachOptions {
  /**
   * Without it each process that attaches hears each live event, and emits it to its own sockets alone: with and without an adapter
   * each socket gets it once, and nothing goes over the adapter. Every process with sockets has to attach.
   *
   * The name of a consumer group: exactly one of the processes that attach with it gets a stored event, at least once, and emits it to
   * the sockets of all over the adapter. Refused where the adapter is that of one process.
   */
  readonly group?: string | undefined;
  /** Default: no socket joins a room by itself. */
  readonly rooms?: SocketIORooms | undefined;
  /** The name of a Socket.IO event that tells all sockets of this process of a `gap` of the bus; default: none. */
  readonly gap?: string | undefined;
  /**
   * What may wait for one socket of the namespace, whoever has emitted it, 1024–1 073 741 824; default 8 MiB. A connection for which more
   * waits is cut off, and counted in `slowSocketsDropped`. As much again may be with its transport.
   */
  readonly maxBufferBytes?: number | undefined;
  /**
   * Told of a subscription that failed, an `authorize` or an `emit` that threw, and an event without the field of a template, the last for each
   * route once a minute at the most. Default: `process.emitWarning`.
   */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Counters of an attachment since it was made. */
export interface AttachStats {
  /** Events that routes were called with. */
  events: number;
  /** Those that were emitted. */
  emitted: number;
  /** Those for a room without a socket in this process. */
  withoutSockets: number;
  /** Those without the field that the template of the room names. */
  missingField: number;
  /** Those that Socket.IO refused to emit. */
  failed: number;
  /** Volatile events, once for each socket of this process that could not take them. */
  passedOver: number;
  /** Sockets that did not read, or too slowly. */
  slowSocketsDropped: number;
  /** Notices of gaps that were emitted. */
  gaps: number;
  /** Joins and leaves of sockets. */
  joins: number;
  leaves: number;
  /** Joins that were refused. */
  joinsDenied: number;
}

/** Events of a bus, attached to a server. */
export interface SocketIOBridge {
  /** Resolves when the server of the bus has confirmed all routes; rejects as `subscribe` does. */
  ready(): Promise<void>;
  /** A copy of the counters. */
  stats(): AttachStats;
  /** Ends the subscriptions and takes no joins any more. Sockets stay in their rooms, the bus stays open. Idempotent. */
  detach(): Promise<void>;
}

/**
 * Brings events of a bus to the sockets of a Socket.IO server.
 *
 * @throws ValidationError `INVALID_OPTIONS`, naming the path, also for a template that cannot be read.
 */
export declare function attachSocketIO<Events, Received>(
  bus: EventBusClient<Events, Received>,
  io: SocketIOTarget,
  routes: readonly SocketIORoute[],
  options?: AttachOptions,
): SocketIOBridge;

/** A client of a hub, as `authorize` gets it. */
export interface HubClient {
  readonly id: string;
  /** What the client gave as `auth`, the last time that it did. */
  readonly auth: Record<string, unknown>;
  readonly socket: SocketIOSocket;
}

/** What a client of a hub wants to do. */
export type HubAction =
  /** To connect, or to go on with a new `auth`. */
  | { readonly name: 'connect' }
  | { readonly name: 'subscribe'; readonly pattern: string; readonly by: 'type' | 'channel' }
  /** `options` count only if `authorize` returns them. */
  | {
      readonly name: 'publish';
      readonly type: string;
      readonly to: { readonly room: string } | { readonly user: string } | 'all' | undefined;
      readonly options: PublishOptions;
    }
  /** `member` is undefined where the client names none: then it is the id of its socket. */
  | { readonly name: 'join'; readonly room: string; readonly member: string | undefined }
  | { readonly name: 'join'; readonly user: string }
  | { readonly name: 'members'; readonly room: string };

/**
 * `true` allows. For `connect`, `{ expires }` allows until then: a Date, or ms since 1970; the connection is closed at that time unless
 * the client has given a new `auth`. For `publish`, `{ options }` allows with these options. All else, and a throw, denies.
 */
export type HubAuthorization =
  | boolean
  | null
  | undefined
  | { readonly expires: Date | number }
  | { readonly options: PublishOptions };

/** Options of {@link createHub}. Unknown keys and bad values: `INVALID_OPTIONS` naming the path. */
export interface HubOptions {
  /** Who may do what; default: nobody anything. */
  readonly authorize?:
    | ((client: HubClient, action: HubAction) => HubAuthorization | Promise<HubAuthorization>)
    | undefined;
  /** Clients at once, 1–1 000 000; default 10 000. Beyond: refused, and counted. */
  readonly maxClients?: number | undefined;
  /** Patterns of one client, 1–10 000; default 100. Beyond: `QUEUE_FULL`. */
  readonly maxPatterns?: number | undefined;
  /** Rooms and users of one client, 1–10 000; default 100. Beyond: `QUEUE_FULL`. */
  readonly maxRooms?: number | undefined;
  /** Questions and publishes of one client without an answer, 1–100 000; default 1000. Beyond: `QUEUE_FULL`. */
  readonly maxInFlight?: number | undefined;
  /**
   * What may wait for one client, 1024–1 073 741 824; default 1 MiB. A client for which more waits is dropped, and counted in
   * `slowClientsDropped`. As much again may be with its transport.
   */
  readonly maxBufferBytes?: number | undefined;
  /** Told of an `authorize` that threw. Default: `process.emitWarning`. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Counters of a hub since it was made. */
export interface HubStats {
  /** Clients that are connected now, and since the beginning. */
  clients: number;
  clientsConnected: number;
  /** Patterns that the hub is subscribed to on its bus: all clients of one share it. */
  patterns: number;
  /** Rooms and users that this hub has joined for its clients. */
  rooms: number;
  /** Events, once for each client that they were sent to. */
  eventsSent: number;
  /** Publishes of clients that the bus has confirmed. */
  published: number;
  /** What `authorize` did not allow, connections included. */
  denied: number;
  /** What was refused because of a bound. */
  refused: number;
  /** Clients that did not read, or too slowly. */
  slowClientsDropped: number;
  /** Clients whose `expires` has passed. */
  expired: number;
  /** Notices `gap`, once for each client. */
  gaps: number;
}

/** A hub. */
export interface SocketIOHub {
  /** A copy of the counters. */
  stats(): HubStats;
  /** Closes the connections of its clients and takes no new ones. The server and the bus stay open. Idempotent. */
  close(): Promise<void>;
}

/**
 * Makes a Socket.IO server, or a namespace of it, the hub of a bus: clients publish, subscribe by patterns and join rooms by the protocol of
 * the guide. Middlewares of the namespace that come before it decide first.
 *
 * @throws ValidationError `INVALID_OPTIONS`, naming the path.
 */
export declare function createHub<Events, Received>(
  io: SocketIOTarget,
  bus: EventBusClient<Events, Received>,
  options?: HubOptions,
): SocketIOHub;
