/** The public client: each method reads its arguments and asks the core. */
// biome-ignore-all lint/correctness/noConstructorReturn: the client of a hub has a class of its own, with all of these methods
// biome-ignore-all lint/complexity/noArguments: rest parameters would change the `length` of a method

import type {
  BatchHandler,
  BatchProjection,
  BatchSubscribeOptions,
  ChannelSubscribeOptions,
  ClientEvents,
  ClientState,
  EventBusClient as Contract,
  DeadLetters as DeadLettersContract,
  EventBusConfig,
  EventHandler,
  EventIterator,
  EventOf,
  EventsOptions,
  GroupContext,
  GroupSubscribeOptions,
  HealthReport,
  History,
  HistoryQuery,
  MemberOptions,
  PatternEvent,
  PatternOf,
  Projection,
  PublishItem,
  PublishOptions,
  PublishResult,
  Raw,
  RawDataEvent,
  ReceivedEvents,
  ReplayQuery,
  ReplayResult,
  RoomPublishOptions,
  Stats,
  Streams as StreamsContract,
  SubscribeOptions,
  Subscription,
  SubscriptionInfo,
  WaitOptions,
} from '../../index';
import {
  type CallTrace,
  stackFromCaller,
  startAsyncStacksAtCaller,
  startStacksAtCaller,
  traceLine,
} from '../caller-stacks';
import { DoctorMethods } from '../doctor/methods';
import { LiveIterator } from '../handle/iterator';
import { SubscriptionHandle } from '../handle/subscription-handle';
import { copyOptions, readName, readOptions, refuseUndefined } from '../input/options';
import { readReadyWait, readWait, type WaitLimits } from '../input/wait';
import { Batch, resultOf } from '../publish/batch';
import { publishBatch } from '../publish/batch-call';
import { DeadLetters } from '../stored/dead-letters';
import { historyOf, readHistoryQuery } from '../stored/history';
import { replay } from '../stored/replay';
import { Streams } from '../stored/streams';
import { Core } from './core';
import { ClientEnvironment, processEnvironment } from './environment';
import { isHubConfig, openHubClient } from './hub-mode';
import { rememberInternals, showInConsole } from './internals';
import { readProjection } from './projection';

/** Its line takes longer than all else in a publish: so many of a batch have one, for those that nobody awaits. Four cost a tenth. */
const TRACED = 1;

type Listener<Events, K extends keyof ClientEvents> = (...args: ClientEvents<Events>[K]) => unknown;

export class EventBusClient<
    // biome-ignore lint/suspicious/noExplicitAny: without a map, any payload is accepted
    Events = Record<string, any>,
    Received = ReceivedEvents<Events>,
    Replies = unknown,
  >
  extends DoctorMethods<Events, Received, Replies>
  implements Contract<Events, Received, Replies>
{
  readonly streams!: StreamsContract;
  readonly deadLetters!: DeadLettersContract<EventOf<Received>>;
  readonly #core!: Core;

  /** Internal: a client of a test bus, or one that is traced. */
  constructor(config: EventBusConfig | undefined, environment: ClientEnvironment);
  constructor(config?: EventBusConfig);
  constructor(config?: EventBusConfig, environment?: ClientEnvironment) {
    super();
    try {
      if (isHubConfig(config)) return openHubClient<this>(config, new.target !== EventBusClient);
      const given = environment instanceof ClientEnvironment ? environment : processEnvironment;
      const core = new Core(config, given);
      this.#core = core;
      rememberInternals(this, core, config);
      this.streams = new Streams((method, args) => core.questions.ask(method, args));
      this.deadLetters = new DeadLetters<EventOf<Received>>(core.questions);
    } catch (error) {
      throw stackFromCaller(error, new.target);
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

  connect(options?: WaitOptions): Promise<void> {
    return this.#core.connect(readReadyWait(options));
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

  waitUntilReady(options?: WaitOptions): Promise<void> {
    return this.#core.waitUntilReady(readReadyWait(options));
  }

  async publish(type: string, data?: unknown, options?: PublishOptions): Promise<PublishResult> {
    let line: CallTrace | undefined;
    try {
      // What is not given is null, and what is given as undefined is refused.
      const payload = arguments.length < 2 ? null : data;
      const added = this.#core.publish(type, payload, options);
      const index = added instanceof Batch ? added.last : this.#core.isTraced ? TRACED : 0;
      if (index < TRACED) line = traceLine(1);
      if (!(added instanceof Batch)) return await added;
      // The same as `resultOf`, without a second promise for each event.
      do await added.progress;
      while (added.outcomes[index] === undefined);
      return added.result(index);
    } catch (error) {
      throw stackFromCaller(error, EventBusClient.prototype.publish, undefined, line);
    }
  }

  publishBatch(
    items: readonly PublishItem<Events>[],
    options?: PublishOptions,
  ): Promise<PromiseSettledResult<PublishResult>[]> {
    return publishBatch(this.#core, items, options, EventBusClient.prototype.publishBatch);
  }

  broadcast(type: string, data?: unknown, options?: PublishOptions): Promise<PublishResult> {
    const payload = arguments.length < 2 ? null : data;
    return resultOf(this.#core.publish(type, payload, options, 'broadcast'));
  }

  publishToRoom(
    room: string,
    type: string,
    data?: unknown,
    options?: RoomPublishOptions,
  ): Promise<PublishResult> {
    const payload = arguments.length < 3 ? null : data;
    const { except, ...given } = copyOptions(options);
    const to = { room: readName(room, 'room'), ...(except !== undefined && { except }) };
    return resultOf(this.#core.publish(type, payload, given, to));
  }

  publishToUser(
    userId: string,
    type: string,
    data?: unknown,
    options?: PublishOptions,
  ): Promise<PublishResult> {
    const payload = arguments.length < 3 ? null : data;
    return resultOf(
      this.#core.publish(type, payload, options, { user: readName(userId, 'userId') }),
    );
  }

  joinRoom(room: string, options?: MemberOptions): Promise<boolean> {
    return this.#core.setMembership(true, 'room', room, readOptions(options, ['member']).member);
  }

  leaveRoom(room: string, options?: { member?: string }): Promise<boolean> {
    const read = readOptions(options, ['member']);
    refuseUndefined(read, 'member', 'for all members of this client');
    return this.#core.setMembership(false, 'room', room, read.member);
  }

  getRoomMembers(room: string): Promise<string[]> {
    return this.#core.questions.ask('rooms.members', { room: readName(room, 'room') });
  }

  joinUser(userId: string): Promise<boolean> {
    return this.#core.setMembership(true, 'user', userId, undefined);
  }

  leaveUser(userId: string): Promise<boolean> {
    return this.#core.setMembership(false, 'user', userId, undefined);
  }

  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: BatchHandler<PatternEvent<Received, P>>,
    options: BatchSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<PatternEvent<Received, P>>,
    options: ChannelSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<PatternEvent<Received, P>, GroupContext>,
    options: GroupSubscribeOptions,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: BatchHandler<RawDataEvent<PatternEvent<Received, P>>>,
    options: Raw<BatchSubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: P,
    handler: EventHandler<RawDataEvent<PatternEvent<Received, P>>>,
    options: Raw<ChannelSubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<RawDataEvent<PatternEvent<Received, P>>, GroupContext>,
    options: Raw<GroupSubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<RawDataEvent<PatternEvent<Received, P>>>,
    options: Raw<SubscribeOptions>,
  ): Promise<Subscription>;
  subscribe<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    handler: EventHandler<PatternEvent<Received, P>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  subscribe(pattern: unknown, handler: unknown, options?: unknown): Promise<Subscription> {
    return this.#subscribe(pattern, handler, options);
  }

  unsubscribe(id: string): Promise<boolean> {
    const live = this.#core.subscriptions.find(id);
    return live === undefined ? Promise.resolve(false) : this.#core.unsubscribe(live);
  }

  subscribeAll(
    projection: BatchProjection<EventOf<Received>>,
    options: BatchSubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Projection<EventOf<Received>, GroupContext>,
    options: GroupSubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Projection<EventOf<Received>>,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
  subscribeAll(
    projection: Parameters<typeof readProjection>[0],
    options?: unknown,
  ): Promise<Subscription> {
    const { types, handler } = readProjection(projection);
    return this.#subscribe(types, handler, options);
  }

  events<const P extends string | readonly string[]>(
    pattern: P,
    options: EventsOptions & { by: 'channel' },
  ): EventIterator<PatternEvent<Received, P>>;
  events<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    options: Raw<EventsOptions>,
  ): EventIterator<RawDataEvent<PatternEvent<Received, P>>>;
  events<const P extends string | readonly string[]>(
    pattern: PatternOf<Events, P>,
    options?: EventsOptions,
  ): EventIterator<PatternEvent<Received, P>>;
  events(pattern: unknown, options?: object): EventIterator<never> {
    const iterator = new LiveIterator<never>(this.#core, pattern, options);
    this.#core.rememberIterator(iterator);
    return iterator;
  }

  getEvent(id: string): Promise<EventOf<Received> | null> {
    const answer = this.#core.questions.askForEvents('getEvent', { id });
    return answer.then(({ events }) => (events[0] as EventOf<Received> | undefined) ?? null);
  }

  getHistory<const P extends string = '*'>(
    query?: HistoryQuery<P>,
  ): Promise<History<PatternEvent<Received, P>>> {
    const answer = this.#core.questions.askForEvents('getHistory', readHistoryQuery(query));
    return answer.then(({ value, events }) => historyOf(events, value.complete));
  }

  replay<const P extends string = '*'>(
    query: ReplayQuery<PatternEvent<Received, P>, P>,
  ): Promise<ReplayResult> {
    return replay(this.#core, query);
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
    return this.#core.subscriptions.count(pattern);
  }

  subscriptions(): SubscriptionInfo[] {
    return this.#core.subscriptions.list();
  }

  on<K extends keyof ClientEvents>(name: K, listener: Listener<Received, K>): this {
    this.#core.emitter.add(name, listener as never, false);
    return this;
  }

  once<K extends keyof ClientEvents>(name: K, listener: Listener<Received, K>): this {
    this.#core.emitter.add(name, listener as never, true);
    return this;
  }

  off<K extends keyof ClientEvents>(name: K, listener: Listener<Received, K>): this {
    this.#core.emitter.remove(name, listener as never);
    return this;
  }

  toJSON(): { serviceName: string; mode: string; state: ClientState; instanceId: string } {
    const { serviceName, state, instanceId } = this;
    return { serviceName, mode: this.#core.settings.mode, state, instanceId };
  }

  // biome-ignore lint/complexity/noBannedTypes: any method is a mark for the stack
  #disconnect(options: { timeout?: number } | undefined, method: Function): Promise<void> {
    let wait: WaitLimits;
    try {
      wait = readWait(options, ['timeout']);
    } catch (error) {
      return Promise.reject(stackFromCaller(error, method));
    }
    return this.#core.disconnect(wait.timeout);
  }

  #subscribe(pattern: unknown, handler: unknown, options: unknown): Promise<Subscription> {
    const live = this.#core.subscribe(pattern, handler, options);
    return live.then((one) => new SubscriptionHandle(one, this.#core.subscriptions));
  }
}

// `publish`, which is called for each event, and `disconnect`, which returns the same promise each time, do this by hand.
startAsyncStacksAtCaller(EventBusClient, [
  'connect',
  'waitUntilReady',
  'publishBatch',
  'broadcast',
  'publishToRoom',
  'publishToUser',
  'joinRoom',
  'leaveRoom',
  'getRoomMembers',
  'joinUser',
  'leaveUser',
  'subscribe',
  'unsubscribe',
  'subscribeAll',
  'getEvent',
  'getHistory',
  'replay',
]);
startStacksAtCaller(EventBusClient, ['subscriberCount', 'on', 'once', 'off']);

showInConsole(EventBusClient);
