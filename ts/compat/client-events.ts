/** The events of its client, as an adapter hands them on. */

import type { EventBusClient as Client, ClientEvents } from '../../index';

type Listener<K extends keyof ClientEvents> = (...args: ClientEvents[K]) => unknown;

/** An adapter that stands for one client. */
export abstract class EventsOfClient {
  abstract readonly client: Client;

  on<K extends keyof ClientEvents>(name: K, listener: Listener<K>): this {
    this.client.on(name, listener);
    return this;
  }

  once<K extends keyof ClientEvents>(name: K, listener: Listener<K>): this {
    this.client.once(name, listener);
    return this;
  }

  off<K extends keyof ClientEvents>(name: K, listener: Listener<K>): this {
    this.client.off(name, listener);
    return this;
  }
}
