/** The subscriptions of a client: how they begin, are confirmed, and end. */

import type { SubscriptionInfo } from '../../index';
import { describe, type EventBusError, invalidAt, unwrap } from '../errors';
import type { Dispatcher } from '../handle/dispatcher';
import { LiveSubscription } from '../handle/subscription';
import type { Hold } from '../native/keepalive';
import type { HandlerInput, NativeClient, Subscribed } from '../native/native';
import { OWN_CHANNELS } from '../request/protocol';
import { onAbort, throwIfAborted } from '../runtime/signals';
import { ForeignPatterns } from './foreign-patterns';
import type { Log } from './logger';
import type { Requests } from './requests';
import { readSubscribeArguments, type SubscribeArguments } from './subscribe-arguments';

/** The parts of a client that its subscriptions need. */
export interface SubscriptionParts {
  readonly native: NativeClient;
  readonly requests: Requests;
  readonly keepAlive: Hold;
  readonly dispatcher: Dispatcher;
  readonly log: Log;
  /** Told of what a handler is called with, where a test bus asks for it. */
  readonly delivered: ((event: HandlerInput) => void) | undefined;
  warn(code: string, message: string): void;
  /** Begins to connect. */
  start(): void;
  isClosed(): boolean;
}

export class Subscriptions {
  readonly #parts: SubscriptionParts;
  readonly #foreignPatterns: ForeignPatterns;
  /** Durable ones that began while there was a hold. */
  readonly #held = new Set<LiveSubscription>();
  #holds = 0;

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
    this.#foreignPatterns = new ForeignPatterns((code, message) => parts.warn(code, message));
  }

  /**
   * Resolves when the subscription is confirmed. Throws at once for wrong arguments. One that is not resident does not keep
   * the process alive, and ends with its client.
   */
  subscribe(
    pattern: unknown,
    handler: unknown,
    options: unknown,
    isResident = true,
  ): Promise<LiveSubscription> {
    const given = readSubscribeArguments(pattern, handler, options);
    throwIfAborted(given.signal);
    return this.#begin(given, isResident);
  }

  /**
   * Until the hold is released, durable subscriptions begin and are confirmed as ever, and their groups read nothing for them: so a
   * group has all its handlers before its first event. Holds add up. Returns the release, which is idempotent.
   */
  hold(): () => void {
    let isHeld = true;
    this.#holds += 1;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      if (this.#holds === 0) this.#letGo();
    };
  }

  /**
   * Begins no handler of the user, or of these subscriptions, from here on until the client disconnects. Resolves when those that run have ended. Iterators are
   * left to their loops. A durable subscription is only paused: ended one by one, each would be done with an event that others have
   * handled, and the last of them would acknowledge it.
   */
  async quiesce(ids?: ReadonlySet<string>): Promise<void> {
    const quiet = Array.from(this.#ofUser(), async (live) => {
      if (live.isIterator || ids?.has(live.id) === false) return;
      const idle = live.idle();
      if (live.group === undefined && live.state !== 'pending') await this.unsubscribe(live);
      else if (live.state !== 'paused') {
        live.state = 'paused';
        this.pause(live, true);
      }
      await idle;
    });
    await Promise.all(quiet);
  }

  /** False when it had ended before. */
  async unsubscribe(live: LiveSubscription): Promise<boolean> {
    if (live.state === 'closed') return false;
    const { native, requests, keepAlive, dispatcher } = this.#parts;
    dispatcher.remove(live);
    this.#held.delete(live);
    keepAlive.release();
    try {
      await requests.send((ticket) => native.unsubscribe(ticket, live.sub));
    } catch (error) {
      // A client that closes meanwhile has ended the subscription as well.
      if ((error as EventBusError).code !== 'ERR_BUS_CLOSED') throw error;
    }
    return true;
  }

  /** Throws `INVALID_OPTIONS` for what is no id. */
  find(id: unknown): LiveSubscription | undefined {
    if (typeof id !== 'string') {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'id', 'must be a string');
    }
    for (const live of this.#parts.dispatcher.all()) if (live.id === id) return live;
    return undefined;
  }

  pause(live: LiveSubscription, paused: boolean): void {
    // One that is held is paused in the engine; its state tells what the release does.
    if (this.#parts.isClosed() || this.#held.has(live)) return;
    this.#parts.native.pause(live.sub, paused);
    if (!paused) this.#parts.dispatcher.resume(live);
  }

  /** All that have not ended, in the order in which they began. */
  list(): SubscriptionInfo[] {
    return Array.from(this.#ofUser(), ({ id, pattern, group, state, streams }) => ({
      id,
      pattern: typeof pattern === 'string' ? pattern : [...pattern],
      state,
      ...(group !== undefined && { group, streams: [...streams] }),
    }));
  }

  /** Counts the confirmed subscriptions: all of them, or those that name exactly this pattern. Throws `INVALID_PATTERN`. */
  count(pattern: unknown): number {
    if (pattern !== undefined && typeof pattern !== 'string') {
      throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a string');
    }
    let count = 0;
    for (const live of this.#ofUser()) {
      if (live.state === 'pending' || live.state === 'closed') continue;
      const counts =
        pattern === undefined ||
        live.pattern === pattern ||
        [live.pattern].flat().includes(pattern);
      if (counts) count += 1;
    }
    return count;
  }

  /** Those that the user has made: not the channels of requests and replies. */
  *#ofUser(): Generator<LiveSubscription> {
    for (const live of this.#parts.dispatcher.all()) {
      const { pattern } = live;
      if (typeof pattern !== 'string' || !pattern.startsWith(OWN_CHANNELS)) yield live;
    }
  }

  async #begin(given: SubscribeArguments, isResident: boolean): Promise<LiveSubscription> {
    const { native, requests, dispatcher, delivered } = this.#parts;
    const handler = delivered === undefined ? given.handler : noting(given.handler, delivered);
    let live: LiveSubscription | undefined;
    try {
      await requests.send((ticket) => {
        const isHeld = given.isDurable && this.#holds > 0;
        const options = isHeld ? heldOptions(given.json) : given.json;
        const answer = native.subscribe(ticket, JSON.stringify(given.patterns), options);
        const subscribed = unwrap<Subscribed>(answer);
        // Behind the engine's check: a subscription that the engine refuses makes no connection.
        this.#parts.start();
        live = new LiveSubscription(native.instanceId, subscribed, given.shown, handler, given);
        if (given.ofTypes) this.#foreignPatterns.check(given.patterns);
        // Before the confirmation: its first events may come in the same drain.
        dispatcher.add(live);
        if (isHeld) this.#held.add(live);
      }, given.signal);
    } catch (error) {
      if (live !== undefined) this.#abandon(live);
      throw error;
    }
    return this.#confirmed(live as unknown as LiveSubscription, given.signal, isResident);
  }

  #confirmed(
    live: LiveSubscription,
    signal: AbortSignal | undefined,
    isResident: boolean,
  ): LiveSubscription {
    if (live.state === 'closed') return live;
    live.state = 'active';
    if (isResident) this.#parts.keepAlive.acquire();
    if (signal !== undefined) {
      const end = () => {
        this.unsubscribe(live).catch((error) => {
          const fields = { error: describe(error) };
          this.#parts.log.write('warn', 'a subscription was not ended', fields);
        });
      };
      live.onClose = onAbort(signal, end);
      if (signal.aborted) end();
    }
    return live;
  }

  #letGo(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const live of held) if (live.state !== 'paused') this.pause(live, false);
  }

  /** Ends a subscription that nobody waits for any more. */
  #abandon(live: LiveSubscription): void {
    const { native, requests, dispatcher, log } = this.#parts;
    dispatcher.remove(live);
    this.#held.delete(live);
    if (this.#parts.isClosed()) return;
    requests
      .send((ticket) => native.unsubscribe(ticket, live.sub))
      .catch((error) => log.write('debug', 'not ended', { error: describe(error) }));
  }
}

/** The options of a durable subscription, which are never empty, for one that the engine begins paused. */
function heldOptions(json: string): string {
  return `{"$held":true,${json.slice(1)}`;
}

/** A handler that tells of each call. */
function noting(
  handler: SubscribeArguments['handler'],
  delivered: (event: HandlerInput) => void,
): SubscribeArguments['handler'] {
  return (event, context) => {
    // Of a batch it is all of them.
    delivered(event as HandlerInput);
    return handler(event, context);
  };
}
