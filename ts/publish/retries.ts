/** Publishes that were not sent and are tried again within the time of their call. */

import type { PublishResult } from '../../index';
import type { Timer, Timers } from '../client/environment';
import { busError, type EventBusError, fromValue } from '../errors';
import type { KeepAlive } from '../native/keepalive';
import type { ErrorValue, Settings } from '../native/native';
import type { Extra } from './publisher';

/** A failed publish, with what is needed to publish it again. */
export interface FailedPublish {
  type: string;
  json: string;
  data: string;
  extra: Extra | undefined;
  resolve(result: PublishResult): void;
  reject(error: EventBusError): void;
}

interface Waiting extends FailedPublish {
  due: number;
  extra: Extra;
  error: ErrorValue;
}

type Publish = (type: string, data: string, extra: Extra) => Promise<PublishResult>;

/** Beyond this many, a publish that was not sent rejects at once. */
const MAX_WAITING = 10_000;

/** Codes after which trying again is pointless, as the call itself is over. */
const FINAL = new Set(['ERR_BUS_ABORTED', 'ERR_BUS_CLOSED', 'ERR_BUS_PUBLISH_TIMEOUT']);

export class PublishRetries {
  readonly #settings: Settings;
  readonly #keepAlive: KeepAlive;
  readonly #timers: Timers;
  readonly #publish: Publish;
  /** All wait equally long, so the first in is the first due. */
  #waiting: Waiting[] = [];
  #timer: Timer | undefined;

  constructor(settings: Settings, keepAlive: KeepAlive, timers: Timers, publish: Publish) {
    this.#settings = settings;
    this.#keepAlive = keepAlive;
    this.#timers = timers;
    this.#publish = publish;
  }

  /** Takes a failed publish that was handed over at `startedAt`; false when it is not to be retried. */
  schedule(failed: FailedPublish, error: ErrorValue, startedAt: number): boolean {
    const { maxRetries, retryDelay, commandTimeout } = this.#settings;
    if (error.outcome !== 'not_sent' || FINAL.has(error.code)) return false;
    const before = failed.extra?.retried;
    const count = before?.count ?? 0;
    const deadline = before?.deadline ?? startedAt + (failed.extra?.timeout ?? commandTimeout);
    const due = this.#timers.now() + retryDelay;
    const retryable = fromValue(error).retryable;
    if (!retryable || count >= maxRetries || due >= deadline) return false;
    if (this.#waiting.length >= MAX_WAITING) return false;
    const extra: Extra = {
      json: failed.json,
      id: failed.extra?.id,
      timestamp: failed.extra?.timestamp,
      channel: failed.extra?.channel,
      deduplicate: failed.extra?.deduplicate ?? false,
      timeout: failed.extra?.timeout,
      signal: failed.extra?.signal,
      retried: { count: count + 1, deadline },
    };
    this.#waiting.push({ ...failed, extra, due, error });
    this.#keepAlive.acquire();
    this.#timer ??= this.#timers.set(this.#publishDue, retryDelay);
    return true;
  }

  /** Refuses what waits, when the client has closed. */
  close(): void {
    this.#timers.clear(this.#timer);
    for (const waiting of this.#take(this.#waiting.length))
      waiting.reject(fromValue(waiting.error));
  }

  readonly #publishDue = (): void => {
    this.#timer = undefined;
    const now = this.#timers.now();
    const first = this.#waiting.findIndex((waiting) => waiting.due > now);
    for (const waiting of this.#take(first < 0 ? this.#waiting.length : first))
      this.#again(waiting, now);
    const next = this.#waiting[0];
    if (next === undefined) return;
    this.#timer = this.#timers.set(this.#publishDue, Math.max(1, next.due - now));
  };

  #again(waiting: Waiting, now: number): void {
    const { type, data, extra, resolve, reject } = waiting;
    if (extra.signal?.aborted) {
      const details = { cause: extra.signal.reason, outcome: 'not_sent' as const };
      reject(busError('ERR_BUS_ABORTED', 'the call was aborted', details));
      return;
    }
    const left = Math.max(1, Math.floor((extra.retried?.deadline ?? now) - now));
    const options = extra.json === '' ? {} : JSON.parse(extra.json);
    extra.json = JSON.stringify({ ...options, timeout: left });
    this.#publish(type, data, extra).then(resolve, reject);
  }

  #take(count: number): Waiting[] {
    const taken = this.#waiting.splice(0, count);
    for (const _ of taken) this.#keepAlive.release();
    return taken;
  }
}
