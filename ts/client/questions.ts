/** Asks the engine about streams, dead letters and past events. */

import { jsonOf } from '../input/json';
import type { Answer } from '../native/drained';
import type { EventMethod, Method, Replies } from '../native/methods';
import type { NativeClient } from '../native/native';
import { mayBuild } from '../native/shapes';
import { throwIfAborted } from '../runtime/signals';
import type { Requests } from './requests';

/** The client that questions are asked of. */
interface Asked {
  readonly native: Pick<NativeClient, 'request'>;
  readonly requests: Requests;
  refuseIfClosing(): void;
  start(): void;
}

export class Questions {
  readonly #asked: Asked;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  /** Asks a question. Events come as texts. */
  ask<M extends Method>(
    method: M,
    args: Record<string, unknown>,
    signal?: AbortSignal,
  ): Promise<Replies[M]> {
    return this.#request<Replies[M]>(method, args, signal);
  }

  /** Asks a question about events that are wanted as objects. */
  askForEvents<M extends EventMethod>(
    method: M,
    args: Record<string, unknown>,
    signal?: AbortSignal,
  ): Promise<Answer<Replies<number>[M]>> {
    // Where no code may be generated they are not built by shapes.
    return this.#request(method, { ...args, events: mayBuild ? 'shapes' : 'beside' }, signal);
  }

  #request<T>(
    method: Method,
    args: Record<string, unknown>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { native, requests } = this.#asked;
    this.#asked.refuseIfClosing();
    const json = jsonOf(args, 'ERR_BUS_INVALID_OPTIONS', 'options');
    throwIfAborted(signal);
    this.#asked.start();
    return requests.send<T>((ticket) => native.request(ticket, method, json), signal);
  }
}
