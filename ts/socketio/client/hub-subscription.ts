/** A subscription at a hub: events that wait, and calls of the handler. */

import type { BusEvent, EventBusError, HandlerContext, Subscription } from '../../../index';
import { busError, describe } from '../../errors';
import { callIn, handlerEnded, handlerStarted } from '../../handle/current-event';
import { CallContext } from '../../handle/handler-context';
import { clearTimeout, monotonic, setTimeout } from '../../runtime/clock';
import type { ClientCounters } from './counters';
import type { HubSubscribeSettings } from './subscribe-options';

export type HubHandler = (event: BusEvent, context: HandlerContext) => unknown;

export interface SubscriptionOwner {
  readonly counters: ClientCounters;
  failed(error: EventBusError, event: BusEvent): void;
  end(subscription: HubSubscription): Promise<boolean>;
}

export class HubSubscription implements Subscription {
  readonly id: string;
  readonly pattern: string | readonly string[];
  readonly key: string;
  readonly settings: HubSubscribeSettings;
  state: Subscription['state'] = 'pending';
  readonly #handler: HubHandler;
  readonly #owner: SubscriptionOwner;
  /** What waits, from `#first` on. */
  #queue: BusEvent[] = [];
  #first = 0;
  readonly #running = new Map<Promise<void>, CallContext>();
  /** Of an iterator: told when the subscription ends. */
  onClose: (() => void) | undefined;
  isIterator = false;

  constructor(
    id: string,
    key: string,
    pattern: string | readonly string[],
    handler: HubHandler,
    settings: HubSubscribeSettings,
    owner: SubscriptionOwner,
  ) {
    this.id = id;
    this.key = key;
    this.pattern = pattern;
    this.settings = settings;
    this.#handler = handler;
    this.#owner = owner;
  }

  take(event: BusEvent): void {
    if (this.state === 'closed') return;
    if (this.state !== 'paused' && this.#running.size < this.settings.concurrency) {
      this.#call(event);
      return;
    }
    if (this.#waiting >= this.settings.maxEvents) {
      this.#owner.counters.dropped += 1;
      if (this.settings.keeps === 'oldest') return;
      this.#shift();
    }
    this.#queue.push(event);
  }

  activate(): void {
    if (this.state === 'pending') this.state = 'active';
  }

  pause(): void {
    if (this.state !== 'closed') this.state = 'paused';
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'active';
    this.#next();
  }

  async unsubscribe(options?: { wait?: boolean | undefined }): Promise<boolean> {
    const running = [...this.#running.keys()];
    const ended = await this.#owner.end(this);
    if (options?.wait === true) await Promise.all(running);
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unsubscribe();
  }

  /** No call begins from now on; what waits is dropped. */
  close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#owner.counters.dropped += this.#waiting;
    this.#queue = [];
    this.#first = 0;
    this.onClose?.();
  }

  /** Resolves when no call runs any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.keys());
  }

  /** Tells the calls that run that nobody waits for them. */
  abort(): void {
    const reason = busError('ERR_BUS_ABORTED', 'the client is closed');
    for (const context of this.#running.values()) CallContext.abort(context, reason);
  }

  get #waiting(): number {
    return this.#queue.length - this.#first;
  }

  #shift(): BusEvent | undefined {
    const event = this.#queue[this.#first];
    if (event === undefined) return undefined;
    (this.#queue as unknown[])[this.#first] = undefined;
    this.#first += 1;
    // Half of it is gone: each event is moved once on average.
    if (this.#first > 32 && this.#first * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    return event;
  }

  #next(): void {
    while (this.state === 'active' && this.#running.size < this.settings.concurrency) {
      const event = this.#shift();
      if (event === undefined) return;
      this.#call(event);
    }
  }

  #call(event: BusEvent): void {
    const begun = monotonic();
    const [pattern = ''] = typeof this.pattern === 'string' ? [this.pattern] : this.pattern;
    const context = new CallContext(pattern, channelOf(event), 1);
    const { counters } = this.#owner;
    let returned: unknown;
    try {
      returned = callIn(event as never, this.#handler as never, event, context);
    } catch (error) {
      this.#fail(error, event);
      return;
    }
    if (!isThenable(returned)) {
      counters.delivered += 1;
      counters.duration.add(monotonic() - begun);
      return;
    }
    handlerStarted();
    const running = this.#follow(returned, context, event, begun).finally(() => {
      this.#running.delete(running);
      this.#next();
    });
    this.#running.set(running, context);
  }

  async #follow(
    returned: PromiseLike<unknown>,
    context: CallContext,
    event: BusEvent,
    begun: number,
  ): Promise<void> {
    const { counters } = this.#owner;
    const { timeout } = this.settings;
    let isLate = false;
    let timer: NodeJS.Timeout | undefined;
    const settled = Promise.resolve(returned).finally(() => {
      handlerEnded();
      if (isLate) counters.zombies -= 1;
    });
    const late = new Promise<never>((_, reject) => {
      if (timeout === 0) return;
      timer = setTimeout(() => {
        const message = `the handler has not ended within ${timeout} ms`;
        const error = busError('ERR_BUS_HANDLER_TIMEOUT', message);
        isLate = true;
        counters.zombies += 1;
        CallContext.abort(context, error);
        reject(error);
      }, timeout);
    });
    try {
      await Promise.race([settled, late]);
      counters.delivered += 1;
      counters.duration.add(monotonic() - begun);
    } catch (error) {
      this.#fail(error, event);
    } finally {
      clearTimeout(timer);
      // What comes later is nobody's.
      settled.catch(() => undefined);
    }
  }

  #fail(thrown: unknown, event: BusEvent): void {
    this.#owner.counters.failed += 1;
    const isOwn = (thrown as { code?: unknown } | null)?.code === 'ERR_BUS_HANDLER_TIMEOUT';
    const error = isOwn
      ? (thrown as EventBusError)
      : busError('ERR_BUS_HANDLER_FAILED', `a handler failed: ${describe(thrown)}`, {
          cause: thrown,
        });
    this.#owner.failed(error, event);
  }
}

/** As the hub's bus has it, without its prefix. */
function channelOf({ type, metadata: { room, toUser } }: BusEvent): string {
  if (room !== undefined) return `room:${room}`;
  return typeof toUser === 'string' ? `user:${toUser}` : type;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
