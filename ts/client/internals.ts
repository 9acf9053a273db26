/** What other entries of the package may ask a client beside its public methods. */

import type { EventBusConfig } from '../../index';
import type { InstrumentedCalls } from '../instrumentation';
import type { Ask } from '../native/methods';

export interface Internals {
  readonly ask: Ask;
  /** The hooks for tracing. */
  readonly instrumented: InstrumentedCalls;
  /** As it was given; the engine has accepted it. */
  readonly config: EventBusConfig | undefined;
}

const clients = new WeakMap<object, Internals>();

/** `core` is what the client is made of. */
export function rememberInternals(
  client: object,
  core: Pick<Internals, 'instrumented'> & { readonly questions: { ask: Ask } },
  config: EventBusConfig | undefined,
): void {
  const { instrumented, questions } = core;
  const ask: Ask = (...question) => questions.ask(...question);
  clients.set(client, { ask, instrumented, config });
}

/** Undefined for what is no client of this copy of the package. */
export function internalsOf(client: object): Internals | undefined {
  return clients.get(client);
}
