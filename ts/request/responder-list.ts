/** Who responds to a type, as the server lists them, kept for a moment. */

import { roomOf } from './protocol';

/** For so long a list is used, from when it was asked for, in ms. */
export const FRESH = 100;
/** From this age on the next list is asked for while the old one is used, in ms. */
const AGEING = 50;
/** So many types have a list; of more, those that were asked for last. */
const MAX_TYPES = 1000;

/** What the lists need of their client. */
export interface ListOwner {
  readonly now: () => number;
  /** Asks the server, or the broker, for the members of a room. */
  members(room: string): Promise<string[]>;
  /** Whether lists may be kept. In memory asking costs next to nothing, and a test wants what is. */
  readonly keeps: boolean;
}

interface List {
  responders: string[];
  askedAt: number;
  asking: Promise<string[]> | undefined;
}

export class ResponderLists {
  readonly #owner: ListOwner;
  readonly #lists = new Map<string, List>();

  constructor(owner: ListOwner) {
    this.#owner = owner;
  }

  /** The responders of a type, if they are known well enough. An empty list never is. */
  known(type: string): readonly string[] | undefined {
    const list = this.#lists.get(type);
    if (list === undefined || list.responders.length === 0) return undefined;
    const age = this.#owner.now() - list.askedAt;
    if (age >= FRESH) return undefined;
    if (age >= AGEING && list.asking === undefined) this.ask(type).catch(() => {});
    return list.responders;
  }

  /** Asks the server; calls at the same time share one question. */
  ask(type: string): Promise<string[]> {
    return this.#lists.get(type)?.asking ?? this.askAnew(type);
  }

  /** Asks the server, whatever was asked before. */
  askAnew(type: string): Promise<string[]> {
    const { keeps, now, members } = this.#owner;
    if (!keeps) return members(roomOf(type));
    const askedAt = now();
    const list = this.#list(type);
    const asking = members(roomOf(type)).then(
      (responders) => {
        if (list.asking === asking) list.asking = undefined;
        if (askedAt >= list.askedAt) {
          list.responders = responders;
          list.askedAt = askedAt;
        }
        return responders;
      },
      (error) => {
        if (list.asking === asking) list.asking = undefined;
        throw error;
      },
    );
    list.asking = asking;
    return asking;
  }

  /** Forgets what is known of a type, as it is no longer true. A question that is under way no longer counts. */
  forget(type: string): void {
    this.#lists.delete(type);
  }

  /** Forgets one responder, who has left. */
  remove(type: string, responder: string): void {
    const list = this.#lists.get(type);
    if (list !== undefined) list.responders = list.responders.filter((one) => one !== responder);
  }

  #list(type: string): List {
    const list = this.#lists.get(type) ?? {
      responders: [],
      askedAt: Number.NEGATIVE_INFINITY,
      asking: undefined,
    };
    this.#lists.delete(type);
    this.#lists.set(type, list);
    const [oldest] = this.#lists.keys();
    if (this.#lists.size > MAX_TYPES && oldest !== undefined) this.#lists.delete(oldest);
    return list;
  }
}
