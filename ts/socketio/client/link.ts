/** The connection of a client to its hub: made, lost and made again. */

import type { ClientState, EventBusError } from '../../../index';
import { busError, closedError, describe } from '../../errors';
import { clearTimeout, setTimeout } from '../../runtime/clock';
import { ignoreRejection } from '../../runtime/promises';
import { ASKS, type Ask, TOLD, type Welcome } from '../protocol';
import type { HubClientSettings } from './config';
import { type AskLimits, PendingAsk } from './pending';
import { type ClientSocket, makeSocket } from './socket-io-client';

/** Asks that wait for an answer at once. */
const MAX_PENDING = 10_000;
/** Between two attempts, in ms: from the first to the most, halved at random, so that clients do not come all at once. */
const FIRST_DELAY = 200;
const MOST_DELAY = 5000;
/** So long before it ends a permission is renewed, at the most, in ms. */
const RENEW_BEFORE = 30_000;
const LONGEST = 2 ** 31 - 1;

export interface LinkOwner {
  /** Connected: asks what it needs again. Resolves when the hub has answered. */
  restore(): Promise<void>;
  /** Restored. */
  ready(): void;
  lost(error: EventBusError): void;
  failed(facts: { attempt: number; delay: number; error: EventBusError }): void;
  told(name: string, ...args: unknown[]): void;
}

export class HubLink {
  readonly #settings: HubClientSettings;
  readonly #owner: LinkOwner;
  readonly #pending = new Set<PendingAsk>();
  #socket: ClientSocket | undefined;
  #isReady = false;
  #wasReady = false;
  #isClosed = false;
  #attempt = 0;
  /** Counts connections: what belongs to an earlier one is over. */
  #generation = 0;
  #retry: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  /** When the hub was heard last, in ms since 1970; null before the first time. */
  heardAt: number | null = null;
  /** When it had been heard last before the connection was lost. */
  lostAt: number | null = null;
  lastError: EventBusError | null = null;

  constructor(settings: HubClientSettings, owner: LinkOwner) {
    this.#settings = settings;
    this.#owner = owner;
  }

  get state(): ClientState {
    if (this.#isClosed) return 'closed';
    if (this.#isReady) return 'ready';
    if (this.#wasReady) return 'reconnecting';
    return this.#socket === undefined ? 'idle' : 'connecting';
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get isConnected(): boolean {
    return this.#socket?.connected === true;
  }

  /** Begins to connect. Throws `INVALID_CONFIG` where `socket.io-client` is missing. */
  start(): void {
    if (this.#socket !== undefined || this.#isClosed) return;
    const socket = makeSocket(this.#settings, (give) => void this.#giveAuth(give));
    this.#socket = socket;
    socket.on('connect', () => void this.#connected());
    socket.on('disconnect', (reason: string) => this.#disconnected(reason));
    socket.on('connect_error', (error: Error) => this.#failed(errorOf(error)));
    for (const name of [TOLD.event, TOLD.gap]) {
      socket.on(name, (...args) => {
        this.heardAt = Date.now();
        this.#owner.told(name, ...args);
      });
    }
    socket.on(TOLD.welcome, (welcome: Welcome) => this.#renewBefore(welcome));
    socket.io.on('ping', () => {
      this.heardAt = Date.now();
    });
    socket.connect();
  }

  /** Asks the hub, now or once it is connected. Rejects with what the hub says, or when the time is over. */
  ask(ask: Ask, args: readonly unknown[], limits: AskLimits): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closedError());
    if (this.#pending.size >= MAX_PENDING) {
      const message = `${MAX_PENDING} calls wait for the hub`;
      return Promise.reject(busError('ERR_BUS_QUEUE_FULL', message, { outcome: 'not_sent' }));
    }
    if (limits.signal?.aborted) {
      const details = { outcome: 'not_sent', cause: limits.signal.reason } as const;
      return Promise.reject(busError('ERR_BUS_ABORTED', 'the call was aborted', details));
    }
    this.start();
    const pending = new PendingAsk(ask, args, limits, () => this.#pending.delete(pending));
    this.#pending.add(pending);
    if (this.isConnected) this.#send(pending);
    return pending.answered;
  }

  /** The same without waiting for a connection, and without an answer. */
  tell(ask: Ask, ...args: unknown[]): void {
    if (this.isConnected) this.#socket?.emit(ASKS[ask], ...args, () => undefined);
  }

  /** Resolves when all that was published has been answered, or has failed. */
  async flushed(): Promise<void> {
    const all = [...this.#pending].map(({ answered }) => answered);
    await Promise.allSettled(all);
  }

  close(): void {
    this.#isClosed = true;
    this.#isReady = false;
    clearTimeout(this.#retry);
    clearTimeout(this.#renewal);
    this.#socket?.disconnect();
    for (const pending of [...this.#pending]) pending.fail(closedError());
  }

  #send(pending: PendingAsk): void {
    const socket = this.#socket as ClientSocket;
    pending.send((name, ...args) => socket.emit(name, ...args));
  }

  async #connected(): Promise<void> {
    this.heardAt ??= Date.now();
    this.#generation += 1;
    const generation = this.#generation;
    await this.#owner.restore();
    if (this.#isClosed || !this.isConnected || generation !== this.#generation) return;
    this.#attempt = 0;
    this.#isReady = true;
    this.#wasReady = true;
    this.heardAt = Date.now();
    for (const pending of this.#pending) if (!pending.isSent) this.#send(pending);
    this.#owner.ready();
    this.lostAt = null;
  }

  #disconnected(reason: string): void {
    clearTimeout(this.#renewal);
    if (this.#isClosed) return;
    const error = busError('ERR_BUS_CONNECTION_LOST', `the connection to the hub ended: ${reason}`);
    this.lastError = error;
    this.#isReady = false;
    // Of several connections that were lost before one was ready the first counts.
    if (this.lostAt === null) this.lostAt = this.heardAt;
    for (const pending of [...this.#pending]) pending.lose(error);
    this.#owner.lost(error);
    this.#again(error);
  }

  #failed(error: EventBusError): void {
    if (this.#isClosed) return;
    this.lastError = error;
    this.#again(error);
  }

  #again(error: EventBusError): void {
    const most = Math.min(MOST_DELAY, FIRST_DELAY * 2 ** Math.min(this.#attempt, 10));
    const delay = Math.round(most * (0.5 + Math.random() / 2));
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#socket?.connect(), delay);
    this.#owner.failed({ attempt: this.#attempt, delay, error });
  }

  async #giveAuth(give: (auth: object) => void): Promise<void> {
    try {
      give(await this.#auth());
    } catch (cause) {
      const message = `socketIO.auth failed: ${describe(cause)}`;
      // Nothing was said to the server yet.
      this.#socket?.disconnect();
      this.#failed(busError('ERR_BUS_AUTH_FAILED', message, { cause }));
    }
  }

  async #auth(): Promise<object> {
    const { auth } = this.#settings;
    return (typeof auth === 'function' ? await auth() : auth) ?? {};
  }

  /** Gives a new `auth` before the permission ends, where there can be a new one. */
  #renewBefore({ expires }: Welcome): void {
    clearTimeout(this.#renewal);
    const { auth } = this.#settings;
    if (expires === null || typeof auth !== 'function') return;
    const left = expires - Date.now();
    const wait = Math.max(left - RENEW_BEFORE, left / 2);
    if (wait <= 0 || wait > LONGEST) return;
    this.#renewal = setTimeout(() => ignoreRejection(this.#renew(expires)), wait);
    this.#renewal.unref();
  }

  async #renew(before: number): Promise<void> {
    const auth = await this.#auth();
    const welcome = (await this.ask('auth', [auth], { timeout: RENEW_BEFORE })) as Welcome;
    // Otherwise the hub ends the connection, and the next one has a new `auth`.
    if (welcome.expires === null || welcome.expires > before) this.#renewBefore(welcome);
  }
}

/** The error of a connection that was not made: what the hub has refused it with, or why it cannot be reached. */
function errorOf(error: Error): EventBusError {
  const data = (error as { data?: unknown }).data as
    | { code?: unknown; message?: unknown }
    | undefined;
  if (typeof data?.code === 'string' && typeof data.message === 'string') {
    return busError(data.code as 'ERR_BUS_AUTH_FAILED', data.message, { cause: error });
  }
  const message = `the hub cannot be reached: ${describe(error)}`;
  // A middleware of the application has refused it: it says why in its own words.
  const code = data !== undefined ? 'ERR_BUS_AUTH_FAILED' : 'ERR_BUS_CONNECTION_REFUSED';
  return busError(code, message, { cause: error });
}
