/** One client of a hub: what it asks, what it has, and how long it may stay. */

import type { EventBusClient, PublishResult } from '../../index';
import type { HubAction, HubClient, HubStats } from '../../socket.io';
import { busError, invalidAt } from '../errors';
import { isPlainObject } from '../input/json';
import { clearTimeout, setTimeout } from '../runtime/clock';
import { acknowledge, failure, refusal } from './answer';
import { bytesAsText } from './binary';
import type { Feeds, Pattern } from './feeds';
import type { HubAccess, Permission } from './hub-access';
import type { HubSettings } from './hub-options';
import type { HubPublish, Recipient } from './hub-publish';
import type { HubRooms, Membership } from './hub-rooms';
import { ASKS, type Ask, type By, keyOf, RESERVED_ROOMS, TOLD, type Welcome } from './protocol';
import type { Socket } from './server';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const MAX_PATTERNS_OF_ONE = 100;
/** The longest that a timer can wait, in ms. */
const LONGEST = 2 ** 31 - 1;

/** What a hub is made of, for its clients. */
export interface HubParts {
  readonly bus: EventBusClient;
  readonly publish: HubPublish;
  readonly settings: HubSettings;
  readonly stats: HubStats;
  readonly access: HubAccess;
  readonly feeds: Feeds;
  readonly rooms: HubRooms<ConnectedClient>;
}

export class ConnectedClient {
  readonly socket: Socket;
  readonly #hub: HubParts;
  readonly #patterns = new Set<string>();
  readonly #memberships = new Map<string, Membership>();
  /** Patterns and memberships that are being confirmed. */
  #joining = 0;
  #inFlight = 0;
  #expiry: NodeJS.Timeout | undefined;
  #hasLeft = false;

  constructor(hub: HubParts, socket: Socket, permission: Permission) {
    this.#hub = hub;
    this.socket = socket;
    for (const ask of Object.keys(ASKS) as Ask[]) {
      socket.on(ASKS[ask], (...args) => void this.#answer(ask, args));
    }
    this.#expireAt(permission.expires);
    socket.emit(TOLD.welcome, this.#welcome(permission));
  }

  /** The room of Socket.IO of those who have subscribed so. */
  static roomOf(key: string): string {
    return RESERVED_ROOMS + key;
  }

  hears(key: string): boolean {
    return this.#patterns.has(key);
  }

  /** Gives back what it has; after the connection has closed. */
  leave(): void {
    this.#hasLeft = true;
    clearTimeout(this.#expiry);
    for (const key of this.#patterns) this.#hub.feeds.release(key);
    for (const membership of this.#memberships.values()) this.#hub.rooms.leave(this, membership);
    this.#patterns.clear();
    this.#memberships.clear();
  }

  get #public(): HubClient {
    const { socket } = this;
    return { id: socket.id, auth: socket.handshake.auth, socket };
  }

  #welcome({ expires = null }: { expires?: number | null }): Welcome {
    return { hub: this.#hub.bus.instanceId, expires };
  }

  #expireAt(expires: number | undefined): void {
    clearTimeout(this.#expiry);
    if (expires === undefined) return;
    this.#expiry = setTimeout(
      () => {
        if (Date.now() < expires) {
          this.#expireAt(expires);
          return;
        }
        this.#hub.stats.expired += 1;
        // Not a disconnect of Socket.IO: a client comes back by itself only after a lost connection, with a new `auth`.
        this.socket.conn.close();
      },
      Math.min(Math.max(expires - Date.now(), 0), LONGEST),
    );
    this.#expiry.unref();
  }

  async #answer(ask: Ask, args: unknown[]): Promise<void> {
    if (this.#inFlight >= this.#hub.settings.maxInFlight) {
      this.#hub.stats.refused += 1;
      acknowledge(args, refusal('ERR_BUS_QUEUE_FULL', 'too much of this client is under way'));
      return;
    }
    this.#inFlight += 1;
    try {
      acknowledge(args, { ok: true, value: await this.#ask(ask, args[0], args[1]) });
    } catch (error) {
      acknowledge(args, failure(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  async #ask(ask: Ask, first: unknown, second: unknown): Promise<unknown> {
    switch (ask) {
      case 'subscribe':
        return this.#subscribe(readPattern(first), readBy(second));
      case 'unsubscribe':
        return this.#unsubscribe(keyOf(readPattern(first), readBy(second)));
      case 'publish':
        return this.#publish(first);
      case 'join':
        return this.#join(this.#readMembership(first));
      case 'leave':
        return this.#leaveOne(this.#readMembership(first));
      case 'members': {
        const room = readText(first, 'room');
        await this.#demand({ name: 'members', room });
        return this.#hub.bus.getRoomMembers(room);
      }
      case 'auth':
        return this.#renew(first);
      case 'ping':
        return { state: this.#hub.bus.state };
    }
  }

  #demand(action: HubAction): Promise<Permission> {
    return this.#hub.access.demand(this.#public, action);
  }

  async #renew(auth: unknown): Promise<Welcome> {
    if (!isPlainObject(auth)) throw invalidAt(OPTIONS, 'auth', 'must be an object');
    const { socket } = this;
    const client: HubClient = { id: socket.id, auth, socket };
    const permission = await this.#hub.access.demand(client, { name: 'connect' });
    socket.handshake.auth = auth;
    if (!this.#hasLeft) this.#expireAt(permission.expires);
    return this.#welcome(permission);
  }

  async #subscribe(pattern: Pattern, by: By): Promise<boolean> {
    const { feeds, settings } = this.#hub;
    const key = keyOf(pattern, by);
    if (this.#patterns.has(key)) return false;
    this.#refuseBeyond(settings.maxPatterns, this.#patterns.size, 'patterns');
    return this.#whileJoining(async () => {
      for (const one of typeof pattern === 'string' ? [pattern] : pattern) {
        await this.#demand({ name: 'subscribe', pattern: one, by });
      }
      await feeds.acquire(pattern, by);
      // It has left meanwhile, or has asked twice.
      if (this.#hasLeft || this.#patterns.has(key)) {
        feeds.release(key);
        return false;
      }
      this.#patterns.add(key);
      await this.socket.join(ConnectedClient.roomOf(key));
      return true;
    });
  }

  #unsubscribe(key: string): boolean {
    if (!this.#patterns.delete(key)) return false;
    void this.socket.leave(ConnectedClient.roomOf(key));
    this.#hub.feeds.release(key);
    return true;
  }

  async #join(membership: Membership): Promise<boolean> {
    const { rooms, settings } = this.#hub;
    const key = JSON.stringify(membership);
    if (this.#memberships.has(key)) return false;
    this.#refuseBeyond(settings.maxRooms, this.#memberships.size, 'rooms');
    return this.#whileJoining(async () => {
      await this.#demand(joinOf(membership, this.socket.id));
      await rooms.join(this, membership);
      if (this.#hasLeft || this.#memberships.has(key)) {
        rooms.leave(this, membership);
        return false;
      }
      this.#memberships.set(key, membership);
      return true;
    });
  }

  #leaveOne(membership: Membership): boolean {
    if (!this.#memberships.delete(JSON.stringify(membership))) return false;
    this.#hub.rooms.leave(this, membership);
    return true;
  }

  async #publish(asked: unknown): Promise<PublishResult> {
    const { type, data, to, given } = readPublish(asked);
    const { options } = await this.#demand({ name: 'publish', type, to, options: given });
    const binary = bytesAsText(data);
    const payload = binary === undefined ? data : binary.data;
    const all =
      binary === undefined
        ? options
        : { ...options, metadata: { ...options?.metadata, binary: binary.places } };
    const result = await this.#hub.publish(type, payload, all, to);
    this.#hub.stats.published += 1;
    return result;
  }

  #readMembership(asked: unknown): Membership {
    const given = isPlainObject(asked) ? asked : {};
    if (given.user !== undefined) return { kind: 'user', name: readText(given.user, 'user') };
    const { member = this.socket.id } = given;
    const room = readText(given.room, 'room');
    return { kind: 'room', name: room, member: readText(member, 'member') };
  }

  #refuseBeyond(most: number, count: number, what: string): void {
    if (count + this.#joining < most) return;
    this.#hub.stats.refused += 1;
    throw busError('ERR_BUS_QUEUE_FULL', `a client may have ${most} ${what}`);
  }

  async #whileJoining<T>(work: () => Promise<T>): Promise<T> {
    this.#joining += 1;
    try {
      return await work();
    } finally {
      this.#joining -= 1;
    }
  }
}

function joinOf(membership: Membership, id: string): HubAction {
  const { kind, name } = membership;
  if (kind === 'user') return { name: 'join', user: name };
  const { member } = membership;
  return { name: 'join', room: name, member: member === id ? undefined : member };
}

interface Asked {
  readonly type: string;
  readonly data: unknown;
  readonly to: Recipient;
  readonly given: Record<string, unknown>;
}

/** Refuses what a publish does not have, so that nothing is left out in silence. */
function readPublish(asked: unknown): Asked {
  if (!isPlainObject(asked)) throw invalidAt(OPTIONS, 'publish', 'must be an object');
  const { type, data = null, room, user, broadcast, options = {}, ...others } = asked;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw invalidAt(OPTIONS, unknown, 'unknown key');
  if (!isPlainObject(options)) throw invalidAt(OPTIONS, 'options', 'must be an object');
  const targets = [room, user, broadcast].filter((target) => target !== undefined);
  if (targets.length > 1) throw invalidAt(OPTIONS, 'room', 'give one of room, user and broadcast');
  let to: Asked['to'];
  if (room !== undefined) to = { room: readText(room, 'room') };
  else if (user !== undefined) to = { user: readText(user, 'user') };
  else if (broadcast === true) to = 'all';
  else if (broadcast !== undefined) throw invalidAt(OPTIONS, 'broadcast', 'must be true');
  return { type: readText(type, 'type'), data, to, given: options };
}

function readPattern(value: unknown): Pattern {
  const all = Array.isArray(value) ? value : [value];
  const isRead = all.every((one) => typeof one === 'string') && all.length <= MAX_PATTERNS_OF_ONE;
  if (isRead && all.length > 0) return value as Pattern;
  throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a string, or at most 100 of them');
}

function readBy(value: unknown): By {
  if (value === undefined || value === 'type' || typeof value === 'function') return 'type';
  if (value === 'channel') return 'channel';
  throw invalidAt(OPTIONS, 'by', "must be 'type' or 'channel'");
}

function readText(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalidAt(OPTIONS, path, 'must be a text that is not empty');
}
