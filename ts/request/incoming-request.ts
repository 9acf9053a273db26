/** A request as its responder has it: it waits, or its handler runs. */

import type { BusEvent, HandlerContext } from '../../index';
import { askerOf, readRequest } from './protocol';

export class IncomingRequest {
  readonly event: BusEvent;
  readonly context: HandlerContext;
  /** The client that has asked, and the id that it gave the request. */
  readonly asker: string;
  readonly id: number;
  readonly isLocal: boolean;
  /** What its reply inherits, as it was before the handler had the event. */
  readonly correlationId: string;
  readonly causationId: string;
  /** The requester does not wait any more. */
  isCancelled = false;
  #key: string | undefined;

  private constructor(
    event: BusEvent,
    context: HandlerContext,
    asker: string,
    id: number,
    isLocal: boolean,
  ) {
    this.event = event;
    this.context = context;
    this.asker = asker;
    this.id = id;
    this.isLocal = isLocal;
    this.correlationId = event.metadata.correlationId;
    this.causationId = event.id;
  }

  /** A request of the type; undefined for anything else. `localAsker` is the client whose requests do not cross the server. */
  static read(
    event: BusEvent,
    context: HandlerContext,
    type: string,
    localAsker: string | undefined,
  ): IncomingRequest | undefined {
    if (event.type !== type) return undefined;
    const { metadata } = event;
    const asker = askerOf(metadata);
    const request = readRequest(metadata);
    if (asker === undefined || request === undefined) return undefined;
    return new IncomingRequest(event, context, asker, request.id, asker === localAsker);
  }

  /** What it is found by among those of all clients. One that is answered at once needs none. */
  get key(): string {
    this.#key ??= keyOf(this.asker, this.id);
    return this.#key;
  }
}

/** By what a request of a client is found. */
export function keyOf(asker: string, id: number): string {
  return `${asker} ${id}`;
}
