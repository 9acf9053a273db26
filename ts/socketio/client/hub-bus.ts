/** The client of a hub: the methods of an `EventBusClient`, over Socket.IO. */
// biome-ignore-all lint/complexity/noArguments: rest parameters would change the `length` of a method

import { randomUUID } from 'node:crypto';
import type {
  BusEvent,
  ClientEvents,
  ClientState,
  EventBusClient as Contract,
  EventBusConfig,
  EventBusError,
  EventIterator,
  HealthReport,
  MemberOptions,
  PublishOptions,
  PublishResult,
  Stats,
  Subscription,
  SubscriptionInfo,
  WaitOptions,
} from '../../../index';
import { startAsyncStacksAtCaller, startStacksAtCaller } from '../../caller-stacks';
import { Emitter } from '../../client/emitter';
import { Log } from '../../client/logger';
import { readProjection } from '../../client/projection';
import { closedError, invalidAt, notSent } from '../../errors';
import { LiveIterator } from '../../handle/iterator';
import { readName, readOptions } from '../../input/options';
import { readReadyWait, readWait, type WaitLimits } from '../../input/wait';
import { readItem } from '../../publish/publish-options';
import { clearTimeout, setTimeout } from '../../runtime/clock';
import { type By, TOLD } from '../protocol';
import { readHubConfig } from './config';
import { ClientCounters } from './counters';
import { hubHealth, hubMetrics } from './health';
import type { HubHandler, HubSubscription } from './hub-subscription';
import { HubLink } from './link';
import { publishMessage, type Target } from './publish-message';
import { readHubSubscribe } from './subscribe-options';
import { COMMAND_TIMEOUT, HubSubscriptions } from './subscriptions';
import { noDeadLetters, noStreams, refusing } from './unavailable';
import { Waiting } from './waiting';

const CONNECT_TIMEOUT = 5000;
const DISCONNECT_TIMEOUT = 10_000;

export class HubBus implements Record<keyof Contract, unknown> {
  readonly instanceId = randomUUID();
  readonly serviceName: string;
  readonly streams = noStreams;
  readonly deadLetters = noDeadLetters;
  readonly request = refusing('request');
  readonly respond = refusing('respond');
  readonly getEvent = refusing('getEvent');
  readonly getHistory = refusing('getHistory');
  readonly doctor = refusing('doctor');
  readonly replay = refusing('replay');
  readonly #log: Log;
  readonly #emitter: Emitter;
  readonly #counters = new ClientCounters();
  readonly #link: HubLink;
  readonly #subscriptions: HubSubscriptions;
  readonly #iterators = new Set<{ end(): void }>();
  readonly #waiting = new Waiting();
  readonly #inherit: boolean;
  #closing: Promise<void> | undefined;
  #closed = false;
  #wasReady = false;

  /** Throws `INVALID_CONFIG` with the path of what is wrong. */
  constructor(config: EventBusConfig) {
    const settings = readHubConfig(config);
    this.serviceName = settings.serviceName;
    this.#inherit = settings.inherit;
    this.#log = new Log(settings.logger, settings.logLevel, settings.serviceName);
    this.#emitter = new Emitter(this.#log);
    this.#link = new HubLink(settings, {
      restore: () => this.#subscriptions.restore(),
      ready: () => this.#ready(),
      lost: (error) => this.#lost(error),
      failed: (facts) => this.#connectFailed(facts),
      told: (name, ...args) => this.#told(name, args),
    });
    const failed = (error: EventBusError, event?: BusEvent) => this.#failed(error, event);
    this.#subscriptions = new HubSubscriptions(this.#link, this.#counters, failed);
  }

  get state(): ClientState {
    if (this.#closed) return 'closed';
    return this.#closing === undefined ? this.#link.state : 'draining';
  }

  connect(options?: WaitOptions): Promise<void> {
    return this.#wait(readReadyWait(options), true);
  }

  waitUntilReady(options?: WaitOptions): Promise<void> {
    return this.#wait(readReadyWait(options), false);
  }

  disconnect(options?: { timeout?: number }): Promise<void> {
    const { timeout } = readWait(options, ['timeout']);
    this.#closing ??= this.#close(timeout ?? DISCONNECT_TIMEOUT);
    return this.#closing;
  }

  close(options?: { timeout?: number }): Promise<void> {
    return this.disconnect(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  isConnected(): boolean {
    return this.state === 'ready';
  }

  publish(type: string, data?: unknown, options?: PublishOptions): Promise<PublishResult> {
    return this.#publish(type, arguments.length < 2 ? null : data, options, {});
  }

  publishBatch(items: readonly unknown[], options?: PublishOptions) {
    if (!Array.isArray(items)) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'items', 'must be an array');
    }
    const calls = items.map(async (item) => {
      const read = readItem(item, options ?? {});
      return this.#publish(read.type, read.data, read.options, {});
    });
    return Promise.allSettled(calls);
  }

  broadcast(type: string, data?: unknown, options?: PublishOptions): Promise<PublishResult> {
    const payload = arguments.length < 2 ? null : data;
    return this.#publish(type, payload, options, { broadcast: true });
  }

  publishToRoom(room: string, type: string, data?: unknown, options?: PublishOptions) {
    const payload = arguments.length < 3 ? null : data;
    return this.#publish(type, payload, options, { room: readName(room, 'room') });
  }

  publishToUser(user: string, type: string, data?: unknown, options?: PublishOptions) {
    const payload = arguments.length < 3 ? null : data;
    return this.#publish(type, payload, options, { user: readName(user, 'userId') });
  }

  joinRoom(room: string, options?: MemberOptions): Promise<boolean> {
    this.#refuseIfClosing();
    const { member = `${this.serviceName}:${this.instanceId}` } = readOptions(options, ['member']);
    const joined = { room: readName(room, 'room'), member: readName(member, 'member') };
    return this.#subscriptions.join(joined);
  }

  leaveRoom(room: string, options?: { member?: string }): Promise<boolean> {
    const { member } = readOptions(options, ['member']);
    const left = { room: readName(room, 'room') };
    if (member === undefined) return this.#subscriptions.leave(left);
    return this.#subscriptions.leave({ ...left, member: readName(member, 'member') });
  }

  getRoomMembers(room: string): Promise<string[]> {
    this.#refuseIfClosing();
    const args = [readName(room, 'room')];
    return this.#link.ask('members', args, { timeout: COMMAND_TIMEOUT }) as Promise<string[]>;
  }

  joinUser(userId: string): Promise<boolean> {
    this.#refuseIfClosing();
    return this.#subscriptions.join({ user: readName(userId, 'userId') });
  }

  leaveUser(userId: string): Promise<boolean> {
    return this.#subscriptions.leave({ user: readName(userId, 'userId') });
  }

  subscribe(pattern: unknown, handler: unknown, options?: unknown): Promise<Subscription> {
    return this.#subscribe(pattern, handler, options);
  }

  async unsubscribe(id: string): Promise<boolean> {
    const one = this.#subscriptions.find(id);
    return one === undefined ? false : this.#subscriptions.end(one);
  }

  subscribeAll(projection: never, options?: unknown): Promise<Subscription> {
    const { types, handler } = readProjection(projection);
    return this.#subscribe(types, handler, options);
  }

  events(pattern: unknown, options?: object): EventIterator {
    const owner = {
      lastNext: 0,
      subscribe: (one: unknown, handler: unknown, own: unknown) =>
        this.#subscribe(one, handler, own),
      unsubscribe: (one: HubSubscription) => this.#subscriptions.end(one),
      forgetIterator: (one: { end(): void }) => this.#iterators.delete(one),
    };
    const iterator = new LiveIterator<BusEvent>(owner as never, pattern, options);
    this.#iterators.add(iterator);
    return iterator;
  }

  healthCheck(): Promise<HealthReport> {
    return hubHealth(this.#link, this.#subscriptions, this.state);
  }

  async metrics(): Promise<string> {
    return hubMetrics(this.getStats(), this.isConnected());
  }

  getStats(): Stats {
    const all = this.#subscriptions.all;
    return this.#counters.stats({
      inFlight: this.#link.inFlight,
      activeSubscriptions: all.length,
      patternSubscriptions: this.#subscriptions.patterns.length,
    });
  }

  subscriberCount(pattern?: string): number {
    const all = this.#subscriptions.all;
    return pattern === undefined
      ? all.length
      : all.filter((one) => [one.pattern].flat().includes(pattern)).length;
  }

  subscriptions(): SubscriptionInfo[] {
    return this.#subscriptions.list();
  }

  on(name: keyof ClientEvents, listener: (...args: never[]) => unknown): this {
    this.#emitter.add(name, listener, false);
    return this;
  }

  once(name: keyof ClientEvents, listener: (...args: never[]) => unknown): this {
    this.#emitter.add(name, listener, true);
    return this;
  }

  off(name: keyof ClientEvents, listener: (...args: never[]) => unknown): this {
    this.#emitter.remove(name, listener);
    return this;
  }

  toJSON(): { serviceName: string; mode: string; state: ClientState; instanceId: string } {
    const { serviceName, state, instanceId } = this;
    return { serviceName, mode: 'socket.io', state, instanceId };
  }

  async #publish(
    type: unknown,
    data: unknown,
    options: unknown,
    target: Target,
  ): Promise<PublishResult> {
    try {
      this.#refuseIfClosing();
      const sent = publishMessage(type, data, options, target, {
        source: this.serviceName,
        inherit: this.#inherit,
      });
      const { timeout = COMMAND_TIMEOUT, signal } = sent;
      const result = await this.#link.ask('publish', [sent.message], { timeout, signal });
      this.#counters.published += 1;
      return result as PublishResult;
    } catch (error) {
      throw notSent(error);
    }
  }

  async #subscribe(pattern: unknown, handler: unknown, options: unknown): Promise<HubSubscription> {
    this.#refuseIfClosing();
    const all: unknown[] = Array.isArray(pattern) ? pattern : [pattern];
    if (all.length === 0 || !all.every((one) => typeof one === 'string')) {
      throw invalidAt(
        'ERR_BUS_INVALID_PATTERN',
        'pattern',
        'must be a string, or an array of them',
      );
    }
    if (typeof handler !== 'function') {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'handler', 'must be a function');
    }
    const settings = readHubSubscribe(options);
    return this.#subscriptions.subscribe(pattern as string, handler as HubHandler, settings);
  }

  async #wait({ timeout, signal }: WaitLimits, start: boolean): Promise<void> {
    this.#refuseIfClosing();
    if (start) this.#link.start();
    if (this.isConnected()) return;
    await this.#waiting.until(timeout ?? CONNECT_TIMEOUT, signal, () => this.#link.lastError);
  }

  async #close(timeout: number): Promise<void> {
    for (const iterator of [...this.#iterators]) iterator.end();
    const all = this.#subscriptions.all;
    const done = Promise.all([this.#link.flushed(), ...all.map((one) => one.idle())]);
    this.#subscriptions.close();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeout);
    });
    await Promise.race([done, late]);
    clearTimeout(timer);
    for (const one of all) one.abort();
    this.#link.close();
    this.#closed = true;
    this.#waiting.fail(closedError());
    this.#log.write('info', 'closed');
    this.#emitter.emit('closed');
  }

  #ready(): void {
    const from = this.#link.lostAt;
    const { patterns } = this.#subscriptions;
    if (this.#wasReady) this.#counters.reconnections += 1;
    if (this.#wasReady && from !== null && patterns.length > 0) {
      this.#gap({ from: new Date(from).toISOString(), to: new Date().toISOString(), patterns });
    }
    this.#wasReady = true;
    this.#log.write('info', 'ready');
    this.#emitter.emit('ready');
    this.#waiting.ready();
  }

  #gap(facts: { from: string; to: string; patterns: string[] }): void {
    const { from, to, patterns } = facts;
    this.#log.write('warn', 'events may have been missed', { from, to, patterns });
    this.#emitter.emit('gap', { from, to, patterns, recovered: 0, complete: false });
  }

  #lost(error: EventBusError): void {
    this.#log.write('warn', error.message, { code: error.code });
    this.#emitter.emit('disconnected', { link: 'hub', error });
  }

  #connectFailed(facts: { attempt: number; delay: number; error: EventBusError }): void {
    const { attempt, delay, error } = facts;
    this.#log.write('warn', error.message, { code: error.code, attempt, delay });
    this.#emitter.emit('reconnecting', { link: 'hub', attempt, delay, error });
    // What does not mend by itself is told at once.
    if (error.code === 'ERR_BUS_AUTH_FAILED') this.#waiting.fail(error);
  }

  #told(name: string, args: unknown[]): void {
    const [first, pattern, by] = args;
    if (name === TOLD.gap) this.#gap(first as { from: string; to: string; patterns: string[] });
    else this.#subscriptions.take(first as BusEvent, pattern as string, by as By);
  }

  #failed(error: EventBusError, event?: BusEvent): void {
    if (event !== undefined) {
      this.#emitter.emit('handlerError', { error, event, attempt: 1, final: true });
    }
    if (this.#emitter.emit('error', error)) return;
    this.#log.write('error', error.message, { code: error.code, err: error.cause ?? error });
  }

  #refuseIfClosing(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

startAsyncStacksAtCaller(HubBus, [
  'connect',
  'waitUntilReady',
  'publish',
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
  'subscribeAll',
]);
startStacksAtCaller(HubBus, ['on', 'once', 'off']);
