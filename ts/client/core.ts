/** The core of a client: it makes the parts, connects them, and opens and closes the engine. */

import type {
  BusEvent,
  ClientState,
  HandlerContext,
  HealthReport,
  PublishOptions,
  PublishResult,
  ShutdownSignal,
  Stats,
} from '../../index';
import { closedError, describe, type EventBusError, fromValue, invalidAt, unwrap } from '../errors';
import { callOutside } from '../handle/current-event';
import { Dispatcher } from '../handle/dispatcher';
import type { LiveSubscription } from '../handle/subscription';
import type { WaitLimits } from '../input/wait';
import { InstrumentedCalls } from '../instrumentation';
import { BrokerLease, releaseWith } from '../native/brokers';
import { Drains } from '../native/drained';
import { KeepAlive, NO_HOLD } from '../native/keepalive';
import {
  type NativeClient,
  native,
  type RawEvent,
  type Recipients,
  type Settings,
} from '../native/native';
import { type Batch, resultOf } from '../publish/batch';
import { LossyValues } from '../publish/lossy-values';
import { Publisher } from '../publish/publisher';
import { RequestReply } from '../request/request-reply';
import { ignoreRejection } from '../runtime/promises';
import { endWeaklyAtSignals } from '../runtime/shutdown';
import type { Timers } from '../runtime/timers';
import { Closing, closingAtSignal, type Unfinished } from './closing';
import { readConfig } from './config';
import { Emitter } from './emitter';
import type { ClientEnvironment } from './environment';
import { healthReport } from './health';
import { fieldsOf, Log } from './logger';
import { Memberships } from './memberships';
import { Notices } from './notices';
import { openNative } from './open-native';
import { Publishing } from './publishing';
import { Questions } from './questions';
import { Requests } from './requests';
import { Subscriptions } from './subscriptions';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

export class Core {
  readonly settings: Settings;
  readonly log: Log;
  readonly emitter: Emitter;
  readonly timers: Timers;
  readonly lastNext: number;
  readonly instanceId: string;
  readonly isObserver: boolean;
  readonly isCluster: boolean;
  readonly subscriptions: Subscriptions;
  readonly publishing: Publishing;
  readonly questions: Questions;
  readonly requestReply: RequestReply;
  /** The hooks for tracing, if there are any. */
  readonly instrumented: InstrumentedCalls;
  readonly #native: NativeClient;
  readonly #keepAlive: KeepAlive;
  readonly #requests: Requests;
  readonly #publisher: Publisher;
  readonly #dispatcher: Dispatcher;
  readonly #memberships: Memberships;
  readonly #notices: Notices;
  readonly #drains: Drains;
  readonly #lease: BrokerLease | undefined;
  readonly #iterators = new Set<{ end(): void }>();
  readonly #shutdownSignals: readonly ShutdownSignal[];
  #leaveShutdown: (() => void) | undefined;
  #started = false;
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(config: unknown, environment: ClientEnvironment) {
    const read = readConfig(config);
    const { settings, schemas } = read;
    const { timers, instrumentation } = environment;
    this.settings = settings;
    this.isObserver = read.isObserver;
    this.isCluster = read.isCluster;
    this.timers = timers;
    this.lastNext = environment.lastNext;
    this.#shutdownSignals = read.shutdownSignals;
    const log = new Log(read.logger, settings.logLevel, settings.serviceName);
    this.log = log;
    this.emitter = new Emitter(log);
    // Before anything is held that a client would have to give back.
    unwrap<null>(native.start());
    if (settings.mode === 'memory' && environment.broker === undefined) {
      this.#lease = new BrokerLease(settings.memory);
      releaseWith(this, this.#lease);
    }
    const broker = environment.broker ?? this.#lease?.broker;
    this.#native = openNative(this, read, broker ?? null);
    this.instanceId = this.#native.instanceId;
    this.#keepAlive = new KeepAlive(this.#native, this);
    this.#requests = new Requests(this.#keepAlive);
    const hold = environment.isResident ? this.#keepAlive : NO_HOLD;
    this.#memberships = new Memberships(this.#native, this.#requests, hold);
    this.#publisher = new Publisher(this.#native, settings, this.#keepAlive, {
      timers,
      record: environment.record,
      drain: () => this.drain(),
    });
    this.instrumented = new InstrumentedCalls(instrumentation, (thrown) => {
      log.write('error', 'a hook of the instrumentation failed', fieldsOf(thrown));
    });
    this.#notices = new Notices(log, this.emitter, {
      now: () => timers.now(),
      idOf: (sub) => this.#dispatcher.find(sub)?.id,
      loseClaim: (tokens, messageId) => this.#dispatcher.loseClaim(tokens, messageId),
    });
    const notices = this.#notices;
    const warn = (code: string, message: string) =>
      notices.announce({ event: 'warning', code, message });
    this.publishing = new Publishing({
      settings,
      schemas,
      lossy: new LossyValues(settings.json, warn),
      publisher: this.#publisher,
      instrumented: this.instrumented,
      start: () => this.#start(),
      refuseIfClosing: () => this.#refuseIfClosing(),
      refuseIfClosed: () => this.#refuseIfClosed(),
    });
    const received = settings.validateOnReceive ? schemas : undefined;
    const dispatching = { ...settings, schemas: received, timers, instrumented: this.instrumented };
    this.#dispatcher = new Dispatcher(this.#native, dispatching, notices);
    this.subscriptions = new Subscriptions({
      native: this.#native,
      requests: this.#requests,
      keepAlive: hold,
      delivered: environment.delivered,
      warn,
      dispatcher: this.#dispatcher,
      log,
      start: () => this.#start(),
      isClosed: () => this.#closed,
    });
    this.questions = new Questions({
      native: this.#native,
      requests: this.#requests,
      refuseIfClosing: () => this.#refuseIfClosing(),
      start: () => this.#start(),
    });
    this.#drains = new Drains(this.#native, {
      publisher: this.#publisher,
      requests: this.#requests,
      notices,
      dispatcher: this.#dispatcher,
    });
    this.requestReply = new RequestReply(this);
    notices.configured(settings.notices);
    environment.register?.(this);
  }

  get state(): ClientState {
    if (this.#closed) return 'closed';
    return this.#closing === undefined ? this.#native.state() : 'draining';
  }

  connect(wait: WaitLimits): Promise<void> {
    this.#refuseIfClosing();
    this.#markStarted();
    return this.#requests.send((t) => this.#native.connect(t, wait.timeout), wait.signal);
  }

  waitUntilReady(wait: WaitLimits): Promise<void> {
    this.#refuseIfClosing();
    return this.#requests.send((t) => this.#native.waitUntilReady(t, wait.timeout), wait.signal);
  }

  /** Returns the same promise each time. */
  disconnect(timeout: number | null): Promise<void> {
    if (this.#closing === undefined) {
      const closing = new Closing(this.log, {
        handledTypes: () => this.#dispatcher.handledTypes(),
        publishes: () => this.#publisher.unsettled,
      });
      this.#closing = closing.follow(this.#close(timeout, closing));
    }
    return this.#closing;
  }

  /** Whether each publish has hooks around it, and so a promise of its own. */
  get isTraced(): boolean {
    return this.instrumented.current !== undefined;
  }

  publish(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
    to?: Recipients,
  ): Batch | Promise<PublishResult> {
    return this.publishing.publish(type, data, options, to);
  }

  /** In hybrid mode the handlers of this client have it, and all else that this tick publishes, before the server has it. */
  publishHereFirst(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
    to?: Recipients,
  ): Promise<PublishResult> {
    const result = resultOf(this.publish(type, data, options, to));
    this.#publisher.deliverHereFirst();
    return result;
  }

  /** Hands over the publishes of this tick, without waiting for its end. */
  flush(): void {
    this.#publisher.flush();
  }

  subscribe(pattern: unknown, handler: unknown, options: unknown): Promise<LiveSubscription> {
    this.#refuseIfClosing();
    return this.subscriptions.subscribe(pattern, handler, options);
  }

  /** The same for what only the bus hears; without `isResident` it does not keep the process alive. */
  listen(
    pattern: string,
    handler: (event: BusEvent, context: HandlerContext) => unknown,
    options: object,
    isResident: boolean,
  ): Promise<LiveSubscription> {
    this.#refuseIfClosing();
    return this.subscriptions.subscribe(pattern, handler, options, isResident);
  }

  unsubscribe(live: LiveSubscription): Promise<boolean> {
    return this.subscriptions.unsubscribe(live);
  }

  /** Joins or leaves; resolves to whether that changed anything. A member keeps the process alive. */
  setMembership(
    joins: boolean,
    kind: 'room' | 'user',
    name: unknown,
    member: unknown,
  ): Promise<boolean> {
    this.#refuseIfClosing();
    if (typeof name !== 'string') {
      throw invalidAt(OPTIONS, kind === 'room' ? 'room' : 'userId', 'must be a string');
    }
    if (member !== undefined && typeof member !== 'string') {
      throw invalidAt(OPTIONS, 'member', 'must be a string');
    }
    return this.#memberships.change(joins, kind, name, member, () => this.#start());
  }

  /** Remembers an iterator or a replay, which is told when the client closes. */
  rememberIterator(iterator: { end(): void }): void {
    this.#iterators.add(iterator);
  }

  forgetIterator(iterator: object): void {
    this.#iterators.delete(iterator as { end(): void });
  }

  /** Keeps the process, and this client, alive until `unref`. */
  ref(): void {
    this.#keepAlive.acquire();
  }

  unref(): void {
    this.#keepAlive.release();
  }

  outageSince(startedAt: number): EventBusError | undefined {
    return this.#notices.outageSince(startedAt);
  }

  replayFailed(thrown: unknown, { id, type }: RawEvent): void {
    const fields = { event: id, type, ...fieldsOf(thrown) };
    this.log.write('warn', 'a handler of replay() failed', fields);
  }

  health(): Promise<HealthReport> {
    return healthReport({
      mode: this.settings.mode,
      state: () => this.state,
      ask: (signal) => {
        this.#refuseIfClosed();
        return this.#requests.send((ticket) => this.#native.health(ticket), signal);
      },
      drain: () => this.drain(),
    });
  }

  /** Never rejects: metrics that cannot be refreshed are as they were known last. */
  async metrics(): Promise<string> {
    const refreshed =
      this.#closed || this.settings.noAddress !== undefined
        ? Promise.resolve()
        : this.#requests.send((ticket) => this.#native.refreshMetrics(ticket));
    await refreshed.catch((error) => {
      this.log.write('debug', 'metrics are not fresh', { error: describe(error) });
    });
    return `${this.#native.metrics()}${this.requestReply.metrics()}`;
  }

  stats(): Stats {
    return this.requestReply.withCounts(
      JSON.parse(this.#native.stats()) as Omit<Stats, 'requests'>,
    );
  }

  /** Whether the engine has nothing to do now; with `handlers`, whether no handler runs either. */
  isIdle(handlers: boolean): boolean {
    return this.#closed || (this.#native.isIdle() && (!handlers || this.#dispatcher.idle));
  }

  /**
   * Takes everything that the engine has ready; false when there was nothing. The native side calls this, so it never
   * throws.
   */
  drain(): boolean {
    try {
      return this.#drains.take();
    } catch (error) {
      this.log.write('error', 'a fault in oxbus itself', fieldsOf(error));
      return true;
    }
  }

  /** Connects for a call that needs it. A failure shows in that call, and in the notices. */
  #start(): void {
    if (this.#started) return;
    this.#markStarted();
    // The outage that follows has lines of its own.
    ignoreRejection(this.#requests.send((ticket) => this.#native.connect(ticket, null)));
  }

  #markStarted(): void {
    if (this.#started) return;
    this.#started = true;
    this.#leaveShutdown = endWeaklyAtSignals(this.#shutdownSignals, this, closingAtSignal);
    callOutside(() => this.#notices.started());
  }

  async #close(timeout: number | null, closing: Closing): Promise<void> {
    let unfinished: Unfinished | null = null;
    for (const iterator of [...this.#iterators]) iterator.end();
    const left = this.requestReply.leave();
    if (left !== undefined) await left;
    this.#dispatcher.drain();
    this.#publisher.flush();
    try {
      unfinished = await this.#requests.send((t) => this.#native.disconnect(t, timeout));
    } catch (error) {
      this.log.write('warn', 'the client was closed without draining', { error: describe(error) });
    }
    this.drain();
    closing.ended(unfinished);
    this.#closed = true;
    this.#dispatcher.close(closedError());
    this.#publisher.close();
    this.#requests.close();
    this.#keepAlive.close();
    this.#native.destroy();
    this.#lease?.release();
    this.#leaveShutdown?.();
  }

  #refuseIfClosing(): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.settings.noAddress !== undefined) throw fromValue(this.settings.noAddress);
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw closedError();
  }
}
