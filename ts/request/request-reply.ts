/** Requests and replies of a client: it makes the parts when they are first needed, and ends them with the client. */

import type { Answers, BusEvent, HandlerContext, Responder, Stats } from '../../index';
import type { CallTrace } from '../caller-stacks';
import type { DataText, Publishing } from '../client/publishing';
import type { Questions } from '../client/questions';
import { type EventBusError, invalidAt, unwrap } from '../errors';
import type { LiveSubscription } from '../handle/subscription';
import { native, type Settings } from '../native/native';
import { inheritedMembers } from '../publish/publish-options';
import { Deadlines } from '../runtime/deadlines';
import { onAbort, throwIfAborted } from '../runtime/signals';
import { processTimers, type Timers } from '../runtime/timers';
import { AllAnswers } from './answers';
import type { ListenOptions } from './channel';
import { Choice } from './choice';
import { RequestCounts } from './counts';
import { Exchanges, type Question } from './exchanges';
import { addressOf, roomOf } from './protocol';
import {
  type ParsedRequestOptions,
  readRequestOptions,
  readRespondOptions,
} from './request-options';
import { BegunRequest, type RequesterParts, requestOne } from './requester';
import { RequestHandler, type ResponderOwner } from './responder';
import { ResponderHandle } from './responder-handle';
import { FRESH, ResponderLists } from './responder-list';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** What a responder hands out at once: more than any `concurrency` and `maxQueued` together, so that it can refuse the rest. */
const CALLS_AT_ONCE = 100_000;

/** More than an event has beside its data where no user has given anything of it, in bytes. */
const ENVELOPE = 8192;

/**
 * For so long a responder that has left still answers that it is gone, in ms: longer than anyone uses a list on which it
 * may still be.
 */
const LINGER = 2 * FRESH;
const NOBODY: readonly string[] = [];

/** For so long a client that closes waits until the server knows that its responders have left, in ms. */
const LEAVE_TIME = 1000;

/** The client behind requests and replies. */
export interface RequestOwner {
  readonly instanceId: string;
  readonly settings: Settings;
  readonly timers: Timers;
  readonly state: string;
  readonly publishing: Publishing;
  readonly isObserver: boolean;
  readonly isCluster: boolean;
  readonly isTraced: boolean;
  /** Why there was no connection at some time from then on, as far as it is known. */
  outageSince(startedAt: number): EventBusError | undefined;
  readonly log: { write(level: 'debug' | 'warn', message: string, fields?: object): void };
  readonly questions: Pick<Questions, 'ask'>;
  setMembership(joins: boolean, kind: 'room', name: string, member: string): Promise<boolean>;
  listen(
    pattern: string,
    handler: (event: BusEvent, context: HandlerContext) => unknown,
    options: object,
    isResident: boolean,
  ): Promise<LiveSubscription>;
  unsubscribe(live: LiveSubscription): Promise<boolean>;
  ref(): void;
  unref(): void;
}

interface Registered {
  readonly handler: RequestHandler;
  readonly live: LiveSubscription;
  hasLeft: boolean;
}

export class RequestReply {
  readonly #owner: RequestOwner;
  readonly #counts = new RequestCounts();
  readonly #responders = new Map<string, Registered>();
  readonly #deadlines: Deadlines;
  #requester: RequesterParts | undefined;
  #lastResponder = 0;
  /** Types that the engine has accepted; a client has few. */
  readonly #checked = new Set<string>();

  constructor(owner: RequestOwner) {
    this.#owner = owner;
    this.#deadlines = new Deadlines(owner.timers);
  }

  request(type: string, data: unknown, options: unknown): Promise<unknown> {
    const read = readRequestOptions(options);
    const question = this.#question(type, data, read);
    const parts = this.#parts();
    if (question instanceof Promise) return question.then((one) => requestOne(parts, one));
    return requestOne(parts, question);
  }

  /** The same with options that were read, for a caller who takes it back without a signal. */
  begin(type: string, data: unknown, options: ParsedRequestOptions): BegunRequest {
    return new BegunRequest(this.#parts(), this.#question(type, data, options));
  }

  requestAll(type: string, data: unknown, options: unknown, line: CallTrace): Answers<unknown> {
    return new AllAnswers(this.#parts(), line, () =>
      this.#question(type, data, readRequestOptions(options)),
    );
  }

  async respond(type: string, handler: unknown, options: unknown): Promise<Responder> {
    const read = readRespondOptions(options);
    const { signal } = read;
    if (typeof handler !== 'function') throw invalidAt(OPTIONS, 'handler', 'must be a function');
    this.#check(type);
    throwIfAborted(signal);
    this.#lastResponder += 1;
    const id = `${this.#owner.instanceId}.${this.#lastResponder}`;
    const called = handler as (event: BusEvent, context: HandlerContext) => unknown;
    const requests = new RequestHandler(this.#responderOwner(), id, type, called, read);
    const live = await this.#owner.listen(
      `user:${addressOf(id)}`,
      (event, context) => requests.receive(event, context),
      { concurrency: CALLS_AT_ONCE, timeout: 0, retryOnError: false },
      true,
    );
    const registered: Registered = { handler: requests, live, hasLeft: false };
    this.#responders.set(id, registered);
    try {
      await this.#owner.setMembership(true, 'room', roomOf(type), id);
    } catch (error) {
      requests.leave();
      this.#responders.delete(id);
      await this.#owner.unsubscribe(live);
      throw error;
    }
    this.#requester?.lists.forget(type);
    if (signal !== undefined) {
      const onClose = live.onClose;
      const stopWaiting = onAbort(signal, () => void this.#leave(registered));
      live.onClose = () => {
        onClose?.();
        stopWaiting();
      };
    }
    return new ResponderHandle(id, type, live, () => this.#leave(registered));
  }

  /** The client closes: whoever waits is told, and responders leave. Undefined when there is nothing to wait for. */
  leave(): Promise<void> | undefined {
    for (const request of [...(this.#requester?.active ?? [])]) request.close();
    const leaving = [...this.#responders.values()].filter(({ hasLeft }) => !hasLeft);
    for (const { handler } of leaving) handler.leave();
    const told = Promise.all(leaving.map((one) => this.#tell(one)));
    const waits = leaving.length > 0 && this.#isListed && this.#owner.state === 'ready';
    if (!waits) return undefined;
    return within(LEAVE_TIME, told).then(() => within(LINGER));
  }

  withCounts<S extends { eventsForeign: number }>(stats: S): S & Pick<Stats, 'requests'> {
    const eventsForeign = stats.eventsForeign + this.#counts.foreign;
    return { ...stats, eventsForeign, requests: this.#counts.stats };
  }

  metrics(): string {
    return this.#counts.metrics;
  }

  /** Whether others have lists of responders that may be older than now. */
  get #isListed(): boolean {
    return this.#owner.settings.mode !== 'memory';
  }

  #question(
    type: string,
    data: unknown,
    options: ParsedRequestOptions,
  ): Question | Promise<Question> {
    this.#check(type);
    throwIfAborted(options.signal);
    const text = this.#owner.publishing.prepare(type, data);
    // As it is now: another responder may be asked later, where nobody knows of this call any more.
    const inherited = this.#owner.settings.inherit ? inheritedMembers() : '';
    if (!(text instanceof Promise)) return { type, data: text, options, inherited };
    return text.then((written: DataText) => ({ type, data: written, options, inherited }));
  }

  #check(type: string): void {
    if (this.#owner.isObserver) {
      const message = 'an observer makes no requests and answers none';
      throw invalidAt(OPTIONS, 'observe', message);
    }
    if (this.#checked.has(type)) return;
    unwrap<null>(native.validate('type', typeof type === 'string' ? JSON.stringify(type) : 'null'));
    if (this.#checked.size < 1000) this.#checked.add(type);
  }

  /** False when it had left before. Resolves when the server knows; it still says for a moment that it is gone. */
  async #leave(one: Registered): Promise<boolean> {
    if (one.hasLeft) return false;
    one.handler.leave();
    await this.#tell(one);
    const end = () => {
      this.#responders.delete(one.handler.id);
      return this.#owner.unsubscribe(one.live).catch(() => false);
    };
    if (this.#isListed) processTimers.set(() => void end(), LINGER).unref();
    else await end();
    return true;
  }

  /** Tells the server that a responder has left. What cannot be told expires there. */
  async #tell(one: Registered): Promise<void> {
    one.hasLeft = true;
    const { id, type } = one.handler;
    this.#requester?.lists.forget(type);
    try {
      await this.#owner.setMembership(false, 'room', roomOf(type), id);
    } catch {
      // The client has closed meanwhile, which ends all its memberships.
    }
  }

  #localOf(type: string): readonly string[] {
    if (this.#owner.settings.mode !== 'hybrid') return NOBODY;
    const local: string[] = [];
    for (const [id, { handler, hasLeft }] of this.#responders) {
      if (!hasLeft && handler.type === type) local.push(id);
    }
    return local;
  }

  #parts(): RequesterParts {
    if (this.#requester === undefined) {
      const { timers, settings, isCluster, instanceId, publishing } = this.#owner;
      const channel = {
        instanceId,
        countsReceivers: !isCluster,
        post: publishing.post.bind(publishing),
        listen: (user: string, handler: (event: BusEvent) => unknown, options: ListenOptions) =>
          this.#owner.listen(`user:${user}`, handler, { ...options, retryOnError: false }, false),
      };
      this.#requester = {
        timers,
        deadlines: this.#deadlines,
        isTraced: () => this.#owner.isTraced,
        outageOf: (timeout) => this.#owner.outageSince(timers.now() - timeout),
        exchanges: new Exchanges(channel, this.#counts),
        lists: new ResponderLists({
          now: () => timers.now(),
          members: (room) => this.#owner.questions.ask('rooms.members', { room }),
          keeps: settings.mode !== 'memory',
        }),
        choice: new Choice(() => timers.now(), Math.random),
        counts: this.#counts,
        active: new Set(),
        localOf: (type) => this.#localOf(type),
        ref: () => this.#owner.ref(),
        unref: () => this.#owner.unref(),
      };
    }
    return this.#requester;
  }

  #responderOwner(): ResponderOwner {
    const { instanceId, settings, isCluster, publishing, log } = this.#owner;
    return {
      instanceId,
      deadlines: this.#deadlines,
      inherits: settings.inherit,
      isTraced: () => this.#owner.isTraced,
      isHybrid: settings.mode === 'hybrid',
      countsReceivers: !isCluster,
      surelyFits: Math.min(settings.maxDataBytes, settings.maxEventBytes - ENVELOPE),
      counts: this.#counts,
      write: publishing.write.bind(publishing),
      send: publishing.send.bind(publishing),
      post: publishing.post.bind(publishing),
      unsent: (type, error) => log.write('warn', 'a reply could not be sent', { type, error }),
    };
  }
}

/** Resolves with `done`, and after `time` by the real clock at the latest; it keeps the process alive. */
function within(time: number, done?: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = processTimers.set(resolve, time);
    void done?.then(() => {
      processTimers.clear(timer);
      resolve();
    });
  });
}
