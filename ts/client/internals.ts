/** What other entries of the package may ask a client beside its public methods. */

import { inspect } from 'node:util';
import type { EventBusConfig, PublishOptions, PublishResult } from '../../index';
import type { InstrumentedCalls } from '../instrumentation';
import type { Ask } from '../native/methods';
import type { Recipients } from '../native/native';
import type { RequestReply } from '../request/request-reply';
import type { Subscriptions } from './subscriptions';

export interface Internals {
  readonly ask: Ask;
  /** The hooks for tracing. */
  readonly instrumented: InstrumentedCalls;
  readonly requestReply: RequestReply;
  readonly subscriptions: Subscriptions;
  /**
   * Publishes, and in hybrid mode lets the handlers of this client have the event before the server: for those whose handlers are
   * short.
   */
  publishHereFirst(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
    to?: Recipients,
  ): Promise<PublishResult>;
  /** As it was given; the engine has accepted it. */
  readonly config: EventBusConfig | undefined;
}

const clients = new WeakMap<object, Internals>();

/** `core` is what the client is made of. */
export function rememberInternals(
  client: object,
  core: Pick<Internals, 'instrumented' | 'requestReply' | 'subscriptions' | 'publishHereFirst'> & {
    readonly questions: { ask: Ask };
  },
  config: EventBusConfig | undefined,
): void {
  const { instrumented, questions, requestReply, subscriptions } = core;
  const ask: Ask = (...question) => questions.ask(...question);
  const publishHereFirst: Internals['publishHereFirst'] = (...call) =>
    core.publishHereFirst(...call);
  const own = { instrumented, requestReply, subscriptions, publishHereFirst };
  clients.set(client, { ask, ...own, config });
}

/** Undefined for what is no client of this copy of the package. */
export function internalsOf(client: object): Internals | undefined {
  return clients.get(client);
}

/** The requests and replies of a client. Throws a TypeError for anything else. */
export function requestReplyOf(client: object): RequestReply {
  const internals = clients.get(client);
  if (internals === undefined) throw new TypeError('this is no client of oxbus');
  return internals.requestReply;
}

/** What the console shows of a client. It is not in the contract, so it is not a member of the class: only the console asks for it. */
export function showInConsole(type: { prototype: { toJSON(): object } }): void {
  Object.defineProperty(type.prototype, inspect.custom, {
    value(this: { toJSON(): object }): string {
      return `EventBusClient ${inspect(this.toJSON())}`;
    },
  });
}
