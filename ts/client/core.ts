/** What is behind a client: its parts, and what passes between them. */

import type {
  BusEvent,
  ClientState,
  EventHandler,
  HealthReport,
  PublishOptions,
  PublishResult,
  ShutdownSignal,
  Stats,
  SubscribeOptions,
} from '../../index';
import { busError, describe, type EventBusError, fromValue, invalidAt, unwrap } from '../errors';
import { firstOf } from '../handle/call';
import { handledEvent } from '../handle/current-event';
import { Dispatcher } from '../handle/dispatcher';
import { LiveSubscription } from '../handle/subscription';
import { jsonOf, jsonOfData } from '../input/json';
import { copyOptions, readPosition } from '../input/options';
import { BrokerLease, releaseWith } from '../native/brokers';
import { KeepAlive } from '../native/keepalive';
import {
  type Drained,
  type Handled,
  type NativeBroker,
  type NativeClient,
  native,
  type RawEvent,
  type Recipients,
  type Settings,
  type Subscribed,
} from '../native/native';
import { type Batch, type Extra, Publisher, resultOf } from '../publish/publisher';
import { clearTimeout, setTimeout } from '../runtime/clock';
import { endWeaklyAt } from '../runtime/shutdown';
import { onAbort } from '../runtime/signals';
import { conform, type Schemas } from '../validation/schemas';
import { type ReadConfig, readConfig } from './config';
import { Emitter } from './emitter';
import { surroundingsOf, type Timers } from './environment';
import { Log } from './logger';
import { Memberships } from './memberships';
import { Notices } from './notices';
import { checkSignal, Requests, throwIfAborted } from './requests';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
/** What is known of how events travel where the engine cannot be asked. */
const MODE_WITHOUT_REPORT = {
  memory: 'memory',
  redis: 'redis-only',
  hybrid: 'local-only',
} as const;
/** Within which a health report must be there. */
const HEALTH_TIMEOUT = 1000;

/** Times and signals of a call, already checked. */
export interface Wait {
  timeout: number | null;
  signal: AbortSignal | undefined;
}

export class Core {
  readonly settings: Settings;
  readonly log: Log;
  readonly emitter: Emitter;
  readonly timers: Timers;
  readonly instanceId: string;
  readonly #native: NativeClient;
  readonly #keepAlive: KeepAlive;
  readonly #requests: Requests;
  readonly #publisher: Publisher;
  readonly #dispatcher: Dispatcher;
  readonly #memberships: Memberships;
  readonly #notices: Notices;
  readonly #schemas: Schemas | undefined;
  readonly #lease: BrokerLease | undefined;
  readonly #iterators = new Set<{ end(): void }>();
  readonly #shutdownSignals: readonly ShutdownSignal[];
  #leaveShutdown: (() => void) | undefined;
  #started = false;
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(config: unknown) {
    const read = readConfig(config);
    const { settings } = read;
    this.settings = settings;
    this.#schemas = read.schemas;
    this.#shutdownSignals = read.shutdownSignals;
    this.log = new Log(read.logger, settings.logLevel, settings.serviceName);
    this.emitter = new Emitter(this.log);
    const surroundings = surroundingsOf(config);
    this.timers = surroundings.timers;
    if (settings.mode === 'memory' && surroundings.broker === undefined) {
      this.#lease = new BrokerLease(settings.memory);
      releaseWith(this, this.#lease);
    }
    const broker = surroundings.broker ?? this.#lease?.broker;
    this.#native = openNative(this, read, broker ?? null);
    this.instanceId = this.#native.instanceId;
    this.#keepAlive = new KeepAlive(this.#native, this);
    this.#requests = new Requests(this.#keepAlive);
    this.#memberships = new Memberships(this.#native, this.#requests, this.#keepAlive);
    this.#publisher = new Publisher(this.#native, settings, this.#keepAlive, surroundings, () =>
      this.drain(),
    );
    const schemas = settings.validateOnReceive ? read.schemas : undefined;
    const options = { ...settings, schemas, timers: surroundings.timers };
    const dispatcher = new Dispatcher(this.#native, options, this.#handlerFailed);
    this.#dispatcher = dispatcher;
    this.#notices = new Notices(this.log, this.emitter, {
      idOf: (sub) => dispatcher.find(sub)?.id,
      loseClaim: (tokens, messageId) => dispatcher.loseClaim(tokens, messageId),
    });
    this.#notices.configured(settings.notices);
    surroundings.admit?.(this);
  }

  get state(): ClientState {
    return this.#closed ? 'closed' : (this.#native.state() as ClientState);
  }

  connect(wait: Wait): Promise<void> {
    this.#refuseIfClosing();
    this.#markStarted();
    return this.#requests.send((t) => this.#native.connect(t, wait.timeout), wait.signal);
  }

  waitUntilReady(wait: Wait): Promise<void> {
    this.#refuseIfClosing();
    return this.#requests.send((t) => this.#native.waitUntilReady(t, wait.timeout), wait.signal);
  }

  /** The same promise each time. */
  disconnect(timeout: number | null): Promise<void> {
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  publish(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
    to?: Recipients,
  ): Batch | Promise<PublishResult> {
    // A handler that `disconnect` waits for may still publish what it is about.
    if (this.#closed || handledEvent() === undefined) this.#refuseIfClosing();
    const extra =
      options === undefined && to === undefined ? undefined : this.#publisher.read(options, to);
    if (this.#schemas !== undefined) {
      const schema = this.#schemas.get(type);
      if (schema !== undefined) {
        const output = conform(schema, data);
        if (!(output instanceof Promise)) return this.#add(type, output, extra);
        return output.then((value) => {
          this.#refuseIfClosed();
          return resultOf(this.#add(type, value, extra));
        });
      }
    }
    return this.#add(type, data, extra);
  }

  /** Hands over what has been published so far, without waiting for the end of the tick. */
  flush(): void {
    this.#publisher.flush();
  }

  async subscribe(pattern: unknown, handler: unknown, options: unknown): Promise<LiveSubscription> {
    this.#refuseIfClosing();
    const patterns = readPatterns(pattern);
    if (typeof handler !== 'function') throw invalidAt(OPTIONS, 'handler', 'must be a function');
    const given: SubscribeOptions = copyOptions(options);
    const json = jsonOf(withPlaces(given), OPTIONS, 'options', ['retryIf', 'signal']);
    const { retryIf, signal } = given;
    if (retryIf !== undefined && typeof retryIf !== 'function') {
      throw invalidAt(OPTIONS, 'retryIf', 'must be a function');
    }
    checkSignal(signal);
    throwIfAborted(signal);
    let live: LiveSubscription | undefined;
    try {
      await this.#requests.send((ticket) => {
        const answer = this.#native.subscribe(ticket, JSON.stringify(patterns), json);
        const subscribed = unwrap<Subscribed>(answer);
        // Only now: what the engine refuses makes no connection.
        this.#start();
        const shown = typeof pattern === 'string' ? pattern : Object.freeze(patterns);
        live = new LiveSubscription(
          this.instanceId,
          subscribed,
          shown,
          handler as EventHandler<BusEvent>,
          retryIf,
        );
        // Known from here on: its first events may come together with the confirmation.
        this.#dispatcher.add(live);
      }, signal);
    } catch (error) {
      if (live !== undefined) this.#abandon(live);
      throw error;
    }
    return this.#confirmed(live as unknown as LiveSubscription, signal);
  }

  async unsubscribe(live: LiveSubscription): Promise<boolean> {
    if (live.state === 'closed') return false;
    this.#dispatcher.remove(live);
    this.#keepAlive.release();
    try {
      await this.#requests.send((ticket) => this.#native.unsubscribe(ticket, live.sub));
    } catch (error) {
      // A client that closes meanwhile has ended the subscription as well.
      if ((error as EventBusError).code !== 'ERR_BUS_CLOSED') throw error;
    }
    return true;
  }

  /** Joins or leaves; whether that changed anything. What is joined keeps the process alive. */
  async attend(
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

  find(id: string): LiveSubscription | undefined {
    for (const live of this.#dispatcher.all()) if (live.id === id) return live;
    return undefined;
  }

  pause(live: LiveSubscription, paused: boolean): void {
    if (this.#closed) return;
    this.#native.pause(live.sub, paused);
    if (!paused) this.#dispatcher.resume(live);
  }

  rememberIterator(iterator: { end(): void }): void {
    this.#iterators.add(iterator);
  }

  forgetIterator(iterator: object): void {
    this.#iterators.delete(iterator as { end(): void });
  }

  /** The process, and this client, live on until `letGo`. */
  hold(): void {
    this.#keepAlive.acquire();
  }

  letGo(): void {
    this.#keepAlive.release();
  }

  /** Asks the engine for something about stored events. */
  async ask<T>(method: string, args: Record<string, unknown>, signal?: AbortSignal): Promise<T> {
    this.#refuseIfClosing();
    const json = jsonOf(args, OPTIONS, 'options');
    throwIfAborted(signal);
    this.#start();
    return this.#requests.send<T>((t) => this.#native.request(t, method, json), signal);
  }

  replayFailed(thrown: unknown, { id, type }: RawEvent): void {
    const fields = { event: id, type, error: describe(thrown) };
    this.log.write('warn', 'a handler of replay() failed', fields);
  }

  async health(): Promise<HealthReport> {
    const limit = new AbortController();
    const timer = setTimeout(() => {
      // After a blocked event loop the report is there, and only this timer is first.
      this.drain();
      limit.abort();
    }, HEALTH_TIMEOUT);
    try {
      this.#refuseIfClosed();
      return await this.#requests.send<HealthReport>((t) => this.#native.health(t), limit.signal);
    } catch (error) {
      const { mode } = this.settings;
      return {
        status: 'unhealthy',
        mode: MODE_WITHOUT_REPORT[mode],
        state: this.state,
        latency: null,
        redis: null,
        connections: {},
        streams: {},
        eventLoop: { blockedMs: 0 },
        warnings: [{ code: 'NO_REPORT', message: describe(error) }],
      };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Never rejects: what cannot be asked for is as it was known last. */
  async metrics(): Promise<string> {
    const refreshed = this.#closed
      ? Promise.resolve()
      : this.#requests.send((ticket) => this.#native.refreshMetrics(ticket));
    await refreshed.catch((error) => {
      this.log.write('debug', 'metrics are not fresh', { error: describe(error) });
    });
    return this.#native.metrics();
  }

  stats(): Stats {
    return JSON.parse(this.#native.stats()) as Stats;
  }

  /** Confirmed subscriptions: all, or those that name exactly this pattern. */
  subscriberCount(pattern: string | undefined): number {
    let count = 0;
    for (const live of this.#dispatcher.all()) {
      if (live.state === 'pending' || live.state === 'closed') continue;
      const counts =
        pattern === undefined ||
        live.pattern === pattern ||
        [live.pattern].flat().includes(pattern);
      if (counts) count += 1;
    }
    return count;
  }

  /** Whether there is nothing to do now: for the engine, or, with `handlers`, for any handler. */
  isIdle(handlers: boolean): boolean {
    return this.#closed || (this.#native.isIdle() && (!handlers || this.#dispatcher.idle));
  }

  /**
   * Takes everything that is ready; false when there was nothing. Called by the native side, so nothing may
   * be thrown.
   */
  drain(): boolean {
    try {
      const text = this.#native.drain();
      if (text === '') return false;
      const drained = JSON.parse(text) as Drained;
      if (drained.l !== undefined) for (const run of drained.l) this.#publisher.taken(run);
      if (drained.u !== undefined) for (const one of drained.u) this.#publisher.apart(one);
      if (drained.p !== undefined) for (const run of drained.p) this.#publisher.published(run);
      if (drained.q !== undefined) for (const run of drained.q) this.#publisher.stored(run);
      if (drained.f !== undefined) {
        for (const [batch, index, error] of drained.f) this.#publisher.failed(batch, index, error);
      }
      this.#publisher.advance();
      if (drained.r !== undefined) {
        for (const [ticket, value] of drained.r) this.#requests.resolve(ticket, value);
      }
      if (drained.x !== undefined) {
        for (const [ticket, error] of drained.x) this.#requests.reject(ticket, fromValue(error));
      }
      if (drained.n !== undefined) for (const notice of drained.n) this.#notices.notice(notice);
      if (drained.d !== undefined) this.#dispatcher.deliver(drained.d, drained.s ?? []);
    } catch (error) {
      this.log.write('error', 'a fault in oxbus itself', { error: describe(error) });
    }
    return true;
  }

  #add(type: string, data: unknown, extra: Extra | undefined): Batch | Promise<PublishResult> {
    const text = jsonOfData(data);
    if (!this.#started) this.#start();
    return this.#publisher.add(type, text, extra);
  }

  /** Connects for a call that needs it. A failure shows in that call, and in the notices. */
  #start(): void {
    if (this.#started) return;
    this.#markStarted();
    this.#requests
      .send((ticket) => this.#native.connect(ticket, null))
      .catch((error) => this.log.write('debug', 'not connected yet', { error: describe(error) }));
  }

  #markStarted(): void {
    if (this.#started) return;
    this.#started = true;
    this.#leaveShutdown = endWeaklyAt(this.#shutdownSignals, this, endAtSignal);
    this.#notices.started();
  }

  #confirmed(live: LiveSubscription, signal: AbortSignal | undefined): LiveSubscription {
    if (live.state === 'closed') return live;
    live.state = 'active';
    this.#keepAlive.acquire();
    if (signal !== undefined) {
      const end = () => {
        this.unsubscribe(live).catch((error) => {
          this.log.write('warn', 'a subscription was not ended', { error: describe(error) });
        });
      };
      live.onClose = onAbort(signal, end);
      if (signal.aborted) end();
    }
    return live;
  }

  /** Ends a subscription that nobody waits for any more. */
  #abandon(live: LiveSubscription): void {
    this.#dispatcher.remove(live);
    if (this.#closed) return;
    this.#requests
      .send((ticket) => this.#native.unsubscribe(ticket, live.sub))
      .catch((error) => this.log.write('debug', 'not ended', { error: describe(error) }));
  }

  async #close(timeout: number | null): Promise<void> {
    for (const iterator of [...this.#iterators]) iterator.end();
    this.#dispatcher.drain();
    this.#publisher.flush();
    try {
      await this.#requests.send((ticket) => this.#native.disconnect(ticket, timeout));
    } catch (error) {
      this.log.write('warn', 'the client was closed without draining', { error: describe(error) });
    }
    this.drain();
    this.#closed = true;
    this.#dispatcher.close(closedError());
    this.#publisher.close();
    this.#requests.close();
    this.#keepAlive.close();
    this.#native.destroy();
    this.#lease?.release();
    this.#leaveShutdown?.();
  }

  readonly #handlerFailed = (
    error: EventBusError,
    final: boolean,
    event: Handled,
    attempt: number,
  ): void => {
    if (final && this.emitter.emit('error', error)) return;
    const level = final ? 'error' : 'warn';
    if (!this.log.enabled(level)) return;
    const message = final ? error.message : `${error.message}; it is tried again`;
    const { id, type } = firstOf(event);
    const events = Array.isArray(event) ? { events: event.length } : undefined;
    this.log.write(level, message, { code: error.code, event: id, type, ...events, attempt });
  };

  #refuseIfClosing(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw closedError();
  }
}

function closedError(): EventBusError {
  return busError('ERR_BUS_CLOSED', 'the client is closed', { outcome: 'not_sent' });
}

/**
 * The native client, which knows its core only weakly: a client that its user drops is collected, and
 * its connections close. A function of its own, so that the callback shares no scope with the core.
 */
function openNative(core: Core, config: ReadConfig, broker: NativeBroker | null): NativeClient {
  const wake = wakeOf(new WeakRef(core));
  return new native.NativeClient(config.json, config.env, broker, wake);
}

/** Outside the class, so that it refers to no core. */
function endAtSignal(core: Core, signal: ShutdownSignal): Promise<void> {
  core.log.write('info', `closing at ${signal}`);
  return core.disconnect(null);
}

function wakeOf(core: WeakRef<Core>): () => void {
  return () => void core.deref()?.drain();
}

/** The options with their place in a stream as JSON can hold it. */
function withPlaces(options: SubscribeOptions): unknown {
  if (!('from' in options) && !('streams' in options)) return options;
  const { from, streams } = options;
  return {
    ...options,
    from: readPosition(from, 'from'),
    streams: typeof streams === 'string' ? [streams] : streams,
  };
}

function readPatterns(pattern: unknown): string[] {
  let patterns: unknown[];
  try {
    patterns = Array.isArray(pattern) ? [...pattern] : [pattern];
  } catch (cause) {
    throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'cannot be read', cause);
  }
  if (patterns.length === 0) throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'is missing');
  for (const one of patterns) {
    if (typeof one !== 'string') {
      const message = `must be a string, not ${one === null ? 'null' : typeof one}`;
      throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', message);
    }
  }
  return patterns as string[];
}
