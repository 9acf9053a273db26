/** Rooms and users that a hub has joined on its bus for its clients. */

import type { EventBusClient } from '../../index';

/** A room with a member, or a user. */
export type Membership =
  | { readonly kind: 'room'; readonly name: string; readonly member: string }
  | { readonly kind: 'user'; readonly name: string };

interface Shared {
  users: number;
  /** What was asked of the bus last: one after the other, so that a leave does not overtake a join. */
  settled: Promise<unknown>;
}

/** The rest of the channel of a room or a user, behind the prefix. */
export function channelOf({ kind, name }: Pick<Membership, 'kind' | 'name'>): string {
  return `${kind}:${name}`;
}

export class HubRooms<Client> {
  readonly #bus: EventBusClient;
  /** By membership: clients that gave the same member share one. */
  readonly #shared = new Map<string, Shared>();
  /** The clients that hear a channel, with the number of their memberships in it. */
  readonly #clients = new Map<string, Map<Client, number>>();

  constructor(bus: EventBusClient) {
    this.#bus = bus;
  }

  /** Rooms and users with a client. */
  get size(): number {
    return this.#clients.size;
  }

  clientsOf(channel: string): IterableIterator<Client> | undefined {
    return this.#clients.get(channel)?.keys();
  }

  /** Resolves when the bus has confirmed it; rejects, leaving nothing behind, as `joinRoom` does. */
  async join(client: Client, membership: Membership): Promise<void> {
    const key = JSON.stringify(membership);
    const shared = this.#shared.get(key) ?? { users: 0, settled: Promise.resolve() };
    this.#shared.set(key, shared);
    shared.users += 1;
    if (shared.users === 1) {
      shared.settled = shared.settled
        .catch(() => undefined)
        .then(() => this.#ask(true, membership));
    }
    try {
      await shared.settled;
    } catch (error) {
      this.#leave(key, shared, membership);
      throw error;
    }
    const channel = channelOf(membership);
    const clients = this.#clients.get(channel) ?? new Map<Client, number>();
    this.#clients.set(channel, clients);
    clients.set(client, (clients.get(client) ?? 0) + 1);
  }

  /** The client hears no more of it from now on. */
  leave(client: Client, membership: Membership): void {
    const channel = channelOf(membership);
    const clients = this.#clients.get(channel);
    const count = (clients?.get(client) ?? 0) - 1;
    if (count > 0) clients?.set(client, count);
    else clients?.delete(client);
    if (clients?.size === 0) this.#clients.delete(channel);
    const key = JSON.stringify(membership);
    const shared = this.#shared.get(key);
    if (shared !== undefined) this.#leave(key, shared, membership);
  }

  #leave(key: string, shared: Shared, membership: Membership): void {
    shared.users -= 1;
    if (shared.users > 0) return;
    const left = shared.settled.catch(() => undefined).then(() => this.#ask(false, membership));
    shared.settled = left;
    // A membership that cannot be left goes by itself, as the bus has it.
    left
      .catch(() => undefined)
      .then(() => {
        if (shared.users === 0 && shared.settled === left) this.#shared.delete(key);
      });
  }

  #ask(join: boolean, membership: Membership): Promise<unknown> {
    const { name } = membership;
    if (membership.kind === 'user') {
      return join ? this.#bus.joinUser(name) : this.#bus.leaveUser(name);
    }
    const { member } = membership;
    return join ? this.#bus.joinRoom(name, { member }) : this.#bus.leaveRoom(name, { member });
  }
}
