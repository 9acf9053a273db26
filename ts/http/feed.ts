/** What all clients of a pattern share: one subscription, and one text of each event. */

import type { BusEvent, EventBusClient, RawJson, Subscription } from '../../index';
import { clearTimeout, setImmediate, setTimeout } from '../runtime/clock';
import type { Counters } from './counters';
import { eventText, gapText } from './event-text';
import type { StreamClient } from './stream-client';

/**
 * For so long a live event may come behind the answer that had it already, in ms: the two come on different connections. It is
 * as long as the engine knows an event that it has filled a gap with.
 */
const LATE = 30_000;

/** What a client has had already, for a while. */
interface Had {
  readonly ids: Set<string>;
  readonly forget: NodeJS.Timeout;
}

/** Whoever wants to know each event by its id. */
export type FeedListener = (id: string, text: string) => void;

export class Feed {
  readonly pattern: string;
  readonly #counters: Counters;
  readonly #named: boolean;
  readonly #subscription: Promise<Subscription>;
  readonly #clients = new Set<StreamClient>();
  readonly #listeners = new Set<FeedListener>();
  readonly #had = new Map<StreamClient, Had>();
  /** The texts of this turn of the event loop. */
  #texts: string[] = [];

  constructor(bus: EventBusClient, pattern: string, counters: Counters, named: boolean) {
    this.pattern = pattern;
    this.#counters = counters;
    this.#named = named;
    // It handles an event at once and never fails.
    this.#subscription = bus.subscribe(pattern, (event) => this.#take(event), {
      data: 'raw',
      retryOnError: false,
    });
  }

  /** Resolves when the server has confirmed the subscription; rejects as `subscribe` does. */
  async ready(): Promise<void> {
    await this.#subscription;
  }

  /** The client gets what comes from now on, but for the events of these ids, which it has. */
  add(client: StreamClient, ids?: ReadonlySet<string>): void {
    // What came before in this turn is not for it.
    this.#flush();
    this.#clients.add(client);
    if (ids === undefined || ids.size === 0) return;
    const forget = setTimeout(() => this.#had.delete(client), LATE);
    forget.unref();
    this.#had.set(client, { ids: new Set(ids), forget });
  }

  remove(client: StreamClient): void {
    this.#clients.delete(client);
    clearTimeout(this.#had.get(client)?.forget);
    this.#had.delete(client);
  }

  listen(listener: FeedListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: FeedListener): void {
    this.#listeners.delete(listener);
  }

  /** Tells all clients that they may have missed something. */
  gap(facts: Record<string, unknown>): void {
    this.#flush();
    const chunk = Buffer.from(gapText(facts));
    for (const client of [...this.#clients]) {
      this.#counters.gaps += 1;
      client.write(chunk, 0);
    }
  }

  async close(): Promise<void> {
    try {
      await (await this.#subscription).unsubscribe();
    } catch {
      // There is no subscription, or its client has closed.
    }
  }

  #take(event: BusEvent<RawJson>): void {
    const text = eventText(event, this.#named);
    for (const listener of this.#listeners) listener(event.id, text);
    if (this.#clients.size === 0) return;
    const had = this.#had.size === 0 ? [] : this.#whoHas(event.id);
    if (had.length > 0) {
      this.#flush();
      this.#write([text], had);
      return;
    }
    this.#texts.push(text);
    if (this.#texts.length === 1) setImmediate(() => this.#flush());
  }

  /** One write for each client, of the same bytes. */
  #flush(): void {
    const texts = this.#texts;
    if (texts.length === 0) return;
    this.#texts = [];
    this.#write(texts, []);
  }

  #write(texts: readonly string[], without: readonly StreamClient[]): void {
    const chunk = Buffer.from(texts.join(''));
    // A copy: a client that is dropped leaves.
    for (const client of [...this.#clients]) {
      if (!without.includes(client)) client.write(chunk, texts.length);
    }
  }

  /** The clients that have had an event already. It comes once. */
  #whoHas(id: string): StreamClient[] {
    return [...this.#had].flatMap(([client, { ids }]) => (ids.delete(id) ? [client] : []));
  }
}
