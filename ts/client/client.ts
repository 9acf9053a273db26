/** The public client: each method checks its arguments, asks the core, and owns its errors' stacks. */

import { inspect } from 'node:util';
import type {
  BatchHandler,
  BatchProjection,
  BatchSubscribeOptions,
  ClientEvents,
  ClientState,
  EventBusClient as Contract,
  DeadLetters as DeadLettersContract,
  EventBusConfig,
  EventHandler,
  EventIterator,
  EventOf,
  EventsOptions,
  EventType,
  GroupContext,
  GroupSubscribeOptions,
  HealthReport,
  HistoryQuery,
  MemberOptions,
  PatternEvent,
  Projection,
  PublishItem,
  PublishOptions,
  PublishResult,
  ReplayQuery,
  ReplayResult,
  RoomPublishOptions,
  Stats,
  Streams as StreamsContract,
  SubscribeOptions,
  Subscription,
  WaitOptions,
} from '../../index';
import { invalidAt, traced } from '../errors';
import { LiveIterator } from '../handle/iterator';
import { SubscriptionHandle } from '../handle/subscription';
import { isPlainObject } from '../input/json';
import { copyOptions, reading, readMoment, readOptions } from '../input/options';
import { Batch, resultOf } from '../publish/publisher';
import { DeadLetters } from '../stored/dead-letters';
import { replay } from '../stored/replay';
import { Streams } from '../stored/streams';
import { Core, type Wait } from './core';
import { checkSignal } from './requests';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
/** What a timer can hold. */
const MAX_TIMEOUT = 2 ** 31 - 1;

// biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
export class EventBusClient<Events = Record<string, any>> implements Contract<Events> {
  readonly streams: StreamsContract;
  readonly deadLetters: DeadLettersContract;
  readonly #core: Core;

  constructor(config?: EventBusConfig) {
    try {
      const core = new Core(config);
      this.#core = core;
      this.streams = new Streams((method, args) => core.ask(method, args));
      this.deadLetters = new DeadLetters((method, args) => core.ask(method, args));
    } catch (error) {
      throw traced(error, new.target);
    }
  }

  get instanceId(): string {
    return this.#core.instanceId;
  }

  get serviceName(): string {
    return this.#core.settings.serviceName;
  }

  get state(): ClientState {
    return this.#core.state;
  }

  async connect(options?: WaitOptions): Promise<void> {
    try {
      await this.#core.connect(readWait(options, ['timeout', 'signal']));
    } catch (error) {
      throw traced(error, EventBusClient.prototype.connect);
    }
  }

  disconnect(options?: { timeout?: number }): Promise<void> {
    return this.#disconnect(options, EventBusClient.prototype.disconnect);
  }

  close(options?: { timeout?: number }): Promise<void> {
    return this.#disconnect(options, EventBusClient.prototype.close);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  isConnected(): boolean {
    return this.state === 'ready';
  }

  async waitUntilReady(options?: WaitOptions): Promise<void> {
    try {
      await this.#core.waitUntilReady(readWait(options, ['timeout', 'signal']));
    } catch (error) {
      throw traced(error, EventBusClient.prototype.waitUntilReady);
    }
  }

  async publish<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    try {
      const added = this.#core.publish(type, data, options);
      if (!(added instanceof Batch)) return await added;
      // What `resultOf` does, without a second promise for each event.
      const index = added.last;
      do await added.progress;
      while (added.outcomes[index] === undefined);
      return added.result(index);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.publish);
    }
  }

  async publishBatch(
    items: readonly PublishItem<Events>[],
    options?: PublishOptions,
  ): Promise<PromiseSettledResult<PublishResult>[]> {
    try {
      const given = reading('items', () => Array.isArray(items) && ([...items] as unknown[]));
      if (given === false) throw invalidAt(OPTIONS, 'items', 'must be an array');
      const defaults = copyOptions(options);
      const calls = given.map((item) => this.#publishItem(item, defaults));
      this.#core.flush();
      const results = await Promise.allSettled(calls);
      for (const result of results) {
        if (result.status === 'rejected') {
          traced(result.reason, EventBusClient.prototype.publishBatch);
        }
      }
      return results;
    } catch (error) {
      throw traced(error, EventBusClient.prototype.publishBatch);
    }
  }

  async broadcast<K extends EventType<Events>>(
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    try {
      return await resultOf(this.#core.publish(type, data, options, 'broadcast'));
    } catch (error) {
      throw traced(error, EventBusClient.prototype.broadcast);
    }
  }

  async publishToRoom<K extends EventType<Events>>(
    room: string,
    type: K,
    data: Events[K],
    options?: RoomPublishOptions,
  ): Promise<PublishResult> {
    try {
      const { except, ...given } = copyOptions(options);
      const to = { room: readName(room, 'room'), ...(except !== undefined && { except }) };
      return await resultOf(this.#core.publish(type, data, given, to));
    } catch (error) {
      throw traced(error, EventBusClient.prototype.publishToRoom);
    }
  }

  async publishToUser<K extends EventType<Events>>(
    userId: string,
    type: K,
    data: Events[K],
    options?: PublishOptions,
  ): Promise<PublishResult> {
    try {
      const to = { user: readName(userId, 'userId') };
      return await resultOf(this.#core.publish(type, data, options, to));
    } catch (error) {
      throw traced(error, EventBusClient.prototype.publishToUser);
    }
  }

  async joinRoom(room: string, options?: MemberOptions): Promise<boolean> {
    try {
      const { member } = readOptions(options, ['member']);
      return await this.#core.attend(true, 'room', room, member);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.joinRoom);
    }
  }

  async leaveRoom(room: string, options?: MemberOptions): Promise<boolean> {
    try {
      const { member } = readOptions(options, ['member']);
      return await this.#core.attend(false, 'room', room, member);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.leaveRoom);
    }
  }

  async getRoomMembers(room: string): Promise<string[]> {
    try {
      return await this.#core.ask('rooms.members', { room: readName(room, 'room') });
    } catch (error) {
      throw traced(error, EventBusClient.prototype.getRoomMembers);
    }
  }

  async joinUser(userId: string): Promise<boolean> {
    try {
      return await this.#core.attend(true, 'user', userId, undefined);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.joinUser);
    }
  }

  async leaveUser(userId: string): Promise<boolean> {
    try {
      return await this.#core.attend(false, 'user', userId, undefined);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.leaveUser);
    }
  }

  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: BatchHandler<PatternEvent<Events, P>>,
    options: BatchSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<PatternEvent<Events, P>, GroupContext>,
    options: GroupSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<PatternEvent<Events, P>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  async subscribe(pattern: unknown, handler: unknown, options?: unknown): Promise<Subscription> {
    try {
      const live = await this.#core.subscribe(pattern, handler, options);
      return new SubscriptionHandle(live, this.#core);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.subscribe);
    }
  }

  async unsubscribe(id: string): Promise<boolean> {
    try {
      if (typeof id !== 'string') throw invalidAt(OPTIONS, 'id', 'must be a string');
      const live = this.#core.find(id);
      return live === undefined ? false : await this.#core.unsubscribe(live);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.unsubscribe);
    }
  }

  subscribeAll(
    projection: BatchProjection<EventOf<Events>>,
    options: BatchSubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Projection<EventOf<Events>, GroupContext>,
    options: GroupSubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Projection<EventOf<Events>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  async subscribeAll(
    projection: { subscribedTo(): readonly string[]; handle(event: never, ctx: never): unknown },
    options?: unknown,
  ): Promise<Subscription> {
    try {
      const patterns = reading('projection', () => {
        const { subscribedTo, handle } = projection ?? {};
        if (typeof subscribedTo !== 'function' || typeof handle !== 'function') return undefined;
        return { types: subscribedTo.call(projection) as unknown };
      });
      if (patterns === undefined) {
        throw invalidAt(OPTIONS, 'projection', 'must have subscribedTo() and handle()');
      }
      const handler = (event: never, ctx: never) => projection.handle(event, ctx);
      const live = await this.#core.subscribe(patterns.types, handler, options);
      return new SubscriptionHandle(live, this.#core);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.subscribeAll);
    }
  }

  events<const P extends string | readonly string[]>(
    pattern: P,
    options?: EventsOptions,
  ): EventIterator<PatternEvent<Events, P>> {
    const iterator = new LiveIterator<PatternEvent<Events, P>>(this.#core, pattern, options);
    this.#core.rememberIterator(iterator);
    return iterator;
  }

  async getEvent(id: string): Promise<EventOf<Events> | null> {
    try {
      const text = await this.#core.ask<string | null>('getEvent', { id });
      return text === null ? null : (JSON.parse(text) as EventOf<Events>);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.getEvent);
    }
  }

  async getHistory<const P extends string = '*'>(
    query?: HistoryQuery<P>,
  ): Promise<PatternEvent<Events, P>[]> {
    try {
      const read = readOptions(query, ['type', 'from', 'to', 'limit', 'source', 'order']);
      read.from = readMoment(read.from, 'from');
      read.to = readMoment(read.to, 'to');
      const texts = await this.#core.ask<string[]>('getHistory', read);
      return texts.map((text) => JSON.parse(text) as PatternEvent<Events, P>);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.getHistory);
    }
  }

  async replay<const P extends string = '*'>(
    query: ReplayQuery<PatternEvent<Events, P>, P>,
  ): Promise<ReplayResult> {
    try {
      return await replay(this.#core, query);
    } catch (error) {
      throw traced(error, EventBusClient.prototype.replay);
    }
  }

  healthCheck(): Promise<HealthReport> {
    return this.#core.health();
  }

  metrics(): Promise<string> {
    return this.#core.metrics();
  }

  getStats(): Stats {
    return this.#core.stats();
  }

  subscriberCount(pattern?: string): number {
    if (pattern !== undefined && typeof pattern !== 'string') {
      const error = invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a string');
      throw traced(error, EventBusClient.prototype.subscriberCount);
    }
    return this.#core.subscriberCount(pattern);
  }

  on<K extends keyof ClientEvents>(name: K, listener: (...args: ClientEvents[K]) => unknown): this {
    return this.#listen(EventBusClient.prototype.on, () =>
      this.#core.emitter.add(name, listener as never, false),
    );
  }

  once<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents[K]) => unknown,
  ): this {
    return this.#listen(EventBusClient.prototype.once, () =>
      this.#core.emitter.add(name, listener as never, true),
    );
  }

  off<K extends keyof ClientEvents>(
    name: K,
    listener: (...args: ClientEvents[K]) => unknown,
  ): this {
    return this.#listen(EventBusClient.prototype.off, () =>
      this.#core.emitter.remove(name, listener as never),
    );
  }

  toJSON(): { serviceName: string; mode: string; state: ClientState; instanceId: string } {
    const { serviceName, state, instanceId } = this;
    return { serviceName, mode: this.#core.settings.mode, state, instanceId };
  }

  // biome-ignore lint/complexity/noBannedTypes: any method is a mark for the stack
  #disconnect(options: { timeout?: number } | undefined, method: Function): Promise<void> {
    let wait: Wait;
    try {
      wait = readWait(options, ['timeout']);
    } catch (error) {
      return Promise.reject(traced(error, method));
    }
    return this.#core.disconnect(wait.timeout);
  }

  // biome-ignore lint/complexity/noBannedTypes: any method is a mark for the stack
  #listen(method: Function, change: () => void): this {
    try {
      change();
    } catch (error) {
      throw traced(error, method);
    }
    return this;
  }

  async #publishItem(item: unknown, defaults: PublishOptions): Promise<PublishResult> {
    const given = reading('items', () => isPlainObject(item) && { ...item });
    if (given === false) throw invalidAt(OPTIONS, 'items', 'must hold plain objects');
    const { type, data, ...own } = given;
    const merged = { ...defaults, ...own };
    const options = Object.keys(merged).length === 0 ? undefined : merged;
    return resultOf(this.#core.publish(type as string, data, options));
  }
}

// Not in the contract, so not a member: only the console asks for it.
Object.defineProperty(EventBusClient.prototype, inspect.custom, {
  value(this: EventBusClient): string {
    return `EventBusClient ${inspect(this.toJSON())}`;
  },
});

function readName(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalidAt(OPTIONS, path, 'must be a string');
  return value;
}

/** Reads `{ timeout, signal }`; other keys are refused. */
export function readWait(options: unknown, keys: readonly string[]): Wait {
  const { timeout, signal } = readOptions(options, keys);
  const fits = typeof timeout === 'number' && timeout >= 0 && timeout <= MAX_TIMEOUT;
  if (timeout !== undefined && !fits) {
    throw invalidAt(OPTIONS, 'timeout', `must be a number of ms from 0 to ${MAX_TIMEOUT}`);
  }
  checkSignal(signal);
  return { timeout: fits ? Math.floor(timeout) : null, signal };
}
