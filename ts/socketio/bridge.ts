/** Events of a bus to the sockets of a Socket.IO server. */

import type { BusEvent, EventBusClient, Subscription } from '../../index';
import type { AttachStats, SocketIOBridge } from '../../socket.io';
import { invalidAt } from '../errors';
import { monotonic } from '../runtime/clock';
import type { AttachSettings, Route } from './attach-options';
import { Joins } from './joins';
import { isOfOneProcess, type Namespace, type Operator } from './server';
import { SocketBounds } from './socket-bounds';

/** How often a missing field of one route is told, in ms. */
const TOLD_EVERY = 60_000;

interface BusGap {
  from: string;
  to: string;
  patterns: string[];
  recovered: number;
  complete: boolean;
}

export class Bridge implements SocketIOBridge {
  readonly #bus: EventBusClient;
  readonly #namespace: Namespace;
  readonly #settings: AttachSettings;
  readonly #subscriptions: Promise<Subscription>[];
  readonly #ready: Promise<unknown>;
  readonly #joins: Joins | undefined;
  readonly #bounds: SocketBounds;
  /** When a missing field of a route was told last. */
  readonly #told = new Map<Route, number>();
  #detached: Promise<void> | undefined;
  readonly #stats: AttachStats = {
    events: 0,
    emitted: 0,
    withoutSockets: 0,
    missingField: 0,
    failed: 0,
    passedOver: 0,
    slowSocketsDropped: 0,
    gaps: 0,
    joins: 0,
    leaves: 0,
    joinsDenied: 0,
  };

  /** Throws `INVALID_OPTIONS` for a group whose events would reach the sockets of one process alone. */
  constructor(
    bus: EventBusClient,
    namespace: Namespace,
    routes: readonly Route[],
    settings: AttachSettings,
  ) {
    const { group, rooms, gap, maxBufferBytes, onError } = settings;
    if (group !== undefined && isOfOneProcess(namespace)) {
      const message =
        'needs an adapter: without one only sockets of one process would get an event';
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'group', message);
    }
    this.#bus = bus;
    this.#namespace = namespace;
    this.#settings = settings;
    const how = group === undefined ? { retryOnError: false } : { group };
    this.#subscriptions = routes.map((route) => {
      const take = (event: BusEvent) => this.#take(route, event);
      // The types know patterns that are texts, or arrays of them, and not what may be either.
      return bus.subscribe(route.on as string, take, how);
    });
    this.#ready = Promise.all(this.#subscriptions);
    // Told also where nobody awaits `ready()`.
    this.#ready.catch(onError);
    this.#joins = rooms && new Joins(namespace, rooms, this.#stats, onError);
    this.#bounds = new SocketBounds(namespace, maxBufferBytes, () => {
      this.#stats.slowSocketsDropped += 1;
    });
    if (gap !== undefined) bus.on('gap', this.#gap);
  }

  async ready(): Promise<void> {
    await this.#ready;
  }

  stats(): AttachStats {
    return { ...this.#stats };
  }

  detach(): Promise<void> {
    this.#detached ??= this.#detach();
    return this.#detached;
  }

  async #detach(): Promise<void> {
    this.#joins?.close();
    this.#bounds.close();
    this.#bus.off('gap', this.#gap);
    for (const subscription of this.#subscriptions) {
      // One that failed is none, and has been told.
      await subscription.then((one) => one.unsubscribe()).catch(() => undefined);
    }
  }

  #take(route: Route, event: BusEvent): void {
    this.#stats.events += 1;
    const { group, onError } = this.#settings;
    const reach = group === undefined ? this.#namespace.local : this.#namespace;
    const room = route.to?.render(event);
    if (room === undefined && route.to !== undefined) {
      this.#stats.missingField += 1;
      this.#tell(route, route.to.fields, event);
      return;
    }
    if (room !== undefined && group === undefined && !this.#namespace.adapter.rooms.has(room)) {
      this.#stats.withoutSockets += 1;
      return;
    }
    if (route.volatile) this.#stats.passedOver += this.#unable(room);
    try {
      emit(route, reach, room, event);
      this.#stats.emitted += 1;
    } catch (error) {
      this.#stats.failed += 1;
      // A group tries again, and has dead letters.
      if (group !== undefined) throw error;
      onError(error);
    }
  }

  /** How many sockets of a room, or of all, Socket.IO passes over now because their connections are not writable. */
  #unable(room: string | undefined): number {
    const { sockets, adapter } = this.#namespace;
    let count = 0;
    for (const id of room === undefined ? sockets.keys() : (adapter.rooms.get(room) ?? [])) {
      if (sockets.get(id)?.conn.transport?.writable === false) count += 1;
    }
    return count;
  }

  #tell(route: Route, fields: string, event: BusEvent): void {
    const now = monotonic();
    const last = this.#told.get(route);
    if (last !== undefined && now - last < TOLD_EVERY) return;
    this.#told.set(route, now);
    const message = `an event '${event.type}' lacks a field of the room: ${fields} (${event.id})`;
    this.#settings.onError(invalidAt('ERR_BUS_INVALID_EVENT', fields, message));
  }

  readonly #gap = ({ from, to, patterns, complete }: BusGap): void => {
    if (complete) return;
    this.#stats.gaps += 1;
    this.#namespace.local.emit(this.#settings.gap as string, { from, to, patterns });
  };
}

function emit(route: Route, reach: Operator, room: string | undefined, event: BusEvent): void {
  let to = reach;
  if (route.volatile) to = to.volatile;
  if (room !== undefined) to = to.to(room);
  to.emit(route.emit, event);
}
