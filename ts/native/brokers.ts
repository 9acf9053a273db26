/**
 * The memory brokers of this realm, by name. A broker goes with its last client. The registry is on
 * `globalThis` so that copies of this module (Jest's registry reset makes some) share it.
 */

import { type NativeBroker, native } from './native';

interface Entry {
  broker: NativeBroker;
  clients: number;
}

type Registry = WeakMap<object, Map<string, Entry>>;

const REGISTRY = Symbol.for('oxbus.brokers');

/** The brokers of this addon: a client cannot use a broker that another version of the addon has made. */
function entries(): Map<string, Entry> {
  const realm = globalThis as { [REGISTRY]?: Registry };
  realm[REGISTRY] ??= new WeakMap();
  let map = realm[REGISTRY].get(native.NativeBroker);
  if (map === undefined) {
    map = new Map();
    realm[REGISTRY].set(native.NativeBroker, map);
  }
  return map;
}

/** One client's share in a broker. */
export class BrokerLease {
  readonly broker: NativeBroker;
  readonly #name: string;
  readonly #entry: Entry;
  #released = false;

  constructor(name: string) {
    const map = entries();
    let entry = map.get(name);
    if (entry === undefined) {
      entry = { broker: new native.NativeBroker(false), clients: 0 };
      map.set(name, entry);
    }
    entry.clients += 1;
    this.#entry = entry;
    this.#name = name;
    this.broker = entry.broker;
  }

  /** Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#entry.clients -= 1;
    const map = entries();
    if (this.#entry.clients === 0 && map.get(this.#name) === this.#entry) map.delete(this.#name);
  }
}

const dropped = new FinalizationRegistry<BrokerLease>((lease) => lease.release());

/** Releases the lease when its client is garbage-collected without having been closed. */
export function releaseWith(client: object, lease: BrokerLease): void {
  dropped.register(client, lease);
}
