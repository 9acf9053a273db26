/** A Socket.IO server as the hub of a bus. */

import type { BusEvent, EventBusClient, HandlerContext } from '../../index';
import type { HubStats, SocketIOHub } from '../../socket.io';
import { busError, EventBusError } from '../errors';
import { failure } from './answer';
import { boundBacklog } from './backlog';
import { type Feed, Feeds } from './feeds';
import { HubAccess, type Permission } from './hub-access';
import { ConnectedClient } from './hub-client';
import type { HubSettings } from './hub-options';
import { type HubPublish, publishesOf } from './hub-publish';
import { channelOf, HubRooms } from './hub-rooms';
import { TOLD } from './protocol';
import { cutOff, type Middleware, type Namespace, type Socket } from './server';

interface BusGap {
  from: string;
  to: string;
  patterns: string[];
  recovered: number;
  complete: boolean;
}

export class Hub implements SocketIOHub {
  readonly #bus: EventBusClient;
  readonly #namespace: Namespace;
  readonly #settings: HubSettings;
  readonly #access: HubAccess;
  readonly #feeds: Feeds;
  readonly #rooms: HubRooms<ConnectedClient>;
  readonly #publish: HubPublish;
  readonly #clients = new Map<string, ConnectedClient>();
  /** Of sockets whose connection has been allowed and is being made. */
  readonly #permissions = new WeakMap<Socket, Permission>();
  #admitting = 0;
  #closed: Promise<void> | undefined;
  readonly #stats: HubStats = {
    clients: 0,
    clientsConnected: 0,
    patterns: 0,
    rooms: 0,
    eventsSent: 0,
    published: 0,
    denied: 0,
    refused: 0,
    slowClientsDropped: 0,
    expired: 0,
    gaps: 0,
  };

  constructor(namespace: Namespace, bus: EventBusClient, settings: HubSettings) {
    this.#bus = bus;
    this.#namespace = namespace;
    this.#settings = settings;
    this.#access = new HubAccess(settings, this.#stats);
    this.#feeds = new Feeds(bus, (...given) => this.#send(...given));
    this.#rooms = new HubRooms(bus);
    this.#publish = publishesOf(bus);
    namespace.use(this.#admit);
    namespace.on('connection', this.#connected);
    bus.on('gap', this.#gap);
    bus.on('closed', this.#end);
  }

  stats(): HubStats {
    const clients = this.#clients.size;
    return { ...this.#stats, clients, patterns: this.#feeds.size, rooms: this.#rooms.size };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#namespace.off('connection', this.#connected);
    this.#bus.off('gap', this.#gap);
    this.#bus.off('closed', this.#end);
    for (const { socket } of [...this.#clients.values()]) socket.conn.close();
    await this.#feeds.close();
  }

  readonly #end = (): void => void this.close();

  readonly #admit: Middleware = (socket, next) => {
    this.#permit(socket).then(
      () => next(),
      (error) => next(connectError(error)),
    );
  };

  async #permit(socket: Socket): Promise<void> {
    if (this.#closed !== undefined) throw busError('ERR_BUS_CLOSED', 'the hub is closed');
    if (this.#clients.size + this.#admitting >= this.#settings.maxClients) {
      this.#stats.refused += 1;
      throw busError('ERR_BUS_SERVER_MAX_CLIENTS', 'the hub has as many clients as it may');
    }
    this.#admitting += 1;
    try {
      const client = { id: socket.id, auth: socket.handshake.auth, socket };
      this.#permissions.set(socket, await this.#access.demand(client, { name: 'connect' }));
    } finally {
      this.#admitting -= 1;
    }
  }

  readonly #connected = (socket: Socket): void => {
    const permission = this.#permissions.get(socket);
    // It was there before the hub, or another middleware took its time: nobody has asked for it.
    if (permission === undefined) return;
    const { settings, stats } = { settings: this.#settings, stats: this.#stats };
    const unbind = boundBacklog(socket.conn, settings.maxBufferBytes, () => {
      stats.slowClientsDropped += 1;
      cutOff(socket.conn);
    });
    const parts = { bus: this.#bus, publish: this.#publish, settings, stats, access: this.#access };
    const all = { ...parts, feeds: this.#feeds, rooms: this.#rooms };
    const client = new ConnectedClient(all, socket, permission);
    this.#clients.set(socket.id, client);
    stats.clientsConnected += 1;
    socket.on('disconnect', () => {
      this.#clients.delete(socket.id);
      // A connection may outlast its socket, and have another one.
      unbind();
      client.leave();
    });
  };

  #send({ key, pattern, by }: Feed, event: BusEvent, context: HandlerContext): void {
    const target = by === 'type' ? audienceOf(context.pattern, event) : undefined;
    if (target === undefined) {
      const room = ConnectedClient.roomOf(key);
      const count = this.#namespace.adapter.rooms.get(room)?.size ?? 0;
      if (count === 0) return;
      this.#stats.eventsSent += count;
      this.#namespace.local.to(room).emit(TOLD.event, event, pattern, by);
      return;
    }
    const ids: string[] = [];
    for (const client of this.#rooms.clientsOf(target) ?? []) {
      if (client.hears(key)) ids.push(client.socket.id);
    }
    if (ids.length === 0) return;
    this.#stats.eventsSent += ids.length;
    // Each socket is in a room of its own, so the event is written once for all of them.
    this.#namespace.local.to(ids).emit(TOLD.event, event, pattern, by);
  }

  readonly #gap = ({ from, to, patterns, complete }: BusGap): void => {
    if (complete) return;
    for (const { key, pattern } of this.#feeds.named(patterns)) {
      const room = ConnectedClient.roomOf(key);
      this.#stats.gaps += this.#namespace.adapter.rooms.get(room)?.size ?? 0;
      const facts = { from, to, patterns: typeof pattern === 'string' ? [pattern] : pattern };
      this.#namespace.local.to(room).emit(TOLD.gap, facts);
    }
  };
}

/**
 * The room or the user that an event was published to, which only those who have joined hear by patterns of types; undefined
 * for an event to all, and where the pattern addresses channels.
 */
function audienceOf(pattern: string, { metadata }: BusEvent): string | undefined {
  if (addressesChannel(pattern)) return undefined;
  const { room, toUser } = metadata;
  if (room !== undefined) return channelOf({ kind: 'room', name: room });
  return typeof toUser === 'string' ? channelOf({ kind: 'user', name: toUser }) : undefined;
}

function addressesChannel(pattern: string): boolean {
  return pattern.startsWith('room:') || pattern.startsWith('user:') || pattern === 'broadcast';
}

/** What a client gets as `connect_error`: its `data` has the code. */
function connectError(thrown: unknown): Error {
  const answer = failure(thrown);
  const message = thrown instanceof EventBusError ? thrown.message : 'the hub cannot be reached';
  return Object.assign(new Error(message), { data: 'error' in answer ? answer.error : undefined });
}
