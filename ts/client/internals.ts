/** What other entries of the package may ask a client beside its public methods. */

import type { EventBusConfig } from '../../index';
import type { Ask } from '../native/methods';

export interface Internals {
  readonly ask: Ask;
  /** As it was given; the engine has accepted it. */
  readonly config: EventBusConfig | undefined;
}

const clients = new WeakMap<object, Internals>();

export function rememberInternals(client: object, internals: Internals): void {
  clients.set(client, internals);
}

/** Undefined for what is no client of this copy of the package. */
export function internalsOf(client: object): Internals | undefined {
  return clients.get(client);
}
