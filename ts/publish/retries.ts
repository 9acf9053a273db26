/** Publishes that were not sent and are tried again within the time of their call. */

import type { PublishResult } from '../../index';
import { busError, type EventBusError, fromValue } from '../errors';
import type { KeepAlive } from '../native/keepalive';
import type { ErrorValue, Settings } from '../native/native';
import type { Timer, Timers } from '../runtime/timers';
import type { ParsedPublishOptions } from './publish-options';

/** A failed publish, with what is needed to publish it again. */
export interface FailedPublish {
  type: string;
  json: string;
  data: string;
  options: ParsedPublishOptions | undefined;
  resolve(result: PublishResult): void;
  reject(error: EventBusError): void;
}

interface ScheduledRetry extends FailedPublish {
  due: number;
  options: ParsedPublishOptions;
  error: ErrorValue;
}

type Publish = (
  type: string,
  data: string,
  options: ParsedPublishOptions,
) => Promise<PublishResult>;

/** When so many wait, a publish that was not sent rejects at once. */
const MAX_WAITING = 10_000;

/** Codes after which trying again is pointless, as the call itself is over. */
const FINAL = new Set(['ERR_BUS_ABORTED', 'ERR_BUS_CLOSED', 'ERR_BUS_PUBLISH_TIMEOUT']);

export class PublishRetries {
  readonly #settings: Settings;
  readonly #keepAlive: KeepAlive;
  readonly #timers: Timers;
  readonly #publish: Publish;
  /** All of them wait equally long, so they are due in the order in which they came. */
  #waiting: ScheduledRetry[] = [];
  #timer: Timer | undefined;

  constructor(settings: Settings, keepAlive: KeepAlive, timers: Timers, publish: Publish) {
    this.#settings = settings;
    this.#keepAlive = keepAlive;
    this.#timers = timers;
    this.#publish = publish;
  }

  /** Schedules a retry of a publish that was handed over at `startedAt`; false when it is not to be retried. */
  schedule(failed: FailedPublish, error: ErrorValue, startedAt: number): boolean {
    const { maxRetries, retryDelay, commandTimeout } = this.#settings;
    if (error.outcome !== 'not_sent' || FINAL.has(error.code)) return false;
    const before = failed.options?.retried;
    const count = before?.count ?? 0;
    const deadline = before?.deadline ?? startedAt + (failed.options?.timeout ?? commandTimeout);
    const due = this.#timers.now() + retryDelay;
    const retryable = fromValue(error).retryable;
    if (!retryable || count >= maxRetries || due >= deadline) return false;
    if (this.#waiting.length >= MAX_WAITING) return false;
    const options: ParsedPublishOptions = {
      json: failed.json,
      id: failed.options?.id,
      timestamp: failed.options?.timestamp,
      channel: failed.options?.channel,
      deduplicate: failed.options?.deduplicate ?? false,
      timeout: failed.options?.timeout,
      signal: failed.options?.signal,
      retried: { count: count + 1, deadline },
    };
    this.#waiting.push({ ...failed, options, due, error });
    this.#keepAlive.acquire();
    this.#timer ??= this.#timers.set(this.#publishDue, retryDelay);
    return true;
  }

  /** Refuses the publishes that wait, as the client has closed. */
  close(): void {
    this.#timers.clear(this.#timer);
    for (const retry of this.#take(this.#waiting.length)) retry.reject(fromValue(retry.error));
  }

  readonly #publishDue = (): void => {
    this.#timer = undefined;
    const now = this.#timers.now();
    const first = this.#waiting.findIndex(({ due }) => due > now);
    for (const retry of this.#take(first < 0 ? this.#waiting.length : first)) {
      this.#again(retry, now);
    }
    const next = this.#waiting[0];
    if (next === undefined) return;
    this.#timer = this.#timers.set(this.#publishDue, Math.max(1, next.due - now));
  };

  #again(retry: ScheduledRetry, now: number): void {
    const { type, data, options, resolve, reject } = retry;
    if (options.signal?.aborted) {
      const details = { cause: options.signal.reason, outcome: 'not_sent' as const };
      reject(busError('ERR_BUS_ABORTED', 'the call was aborted', details));
      return;
    }
    const left = Math.max(1, Math.floor((options.retried?.deadline ?? now) - now));
    const given = options.json === '' ? {} : JSON.parse(options.json);
    options.json = JSON.stringify({ ...given, timeout: left });
    this.#publish(type, data, options).then(resolve, reject);
  }

  #take(count: number): ScheduledRetry[] {
    const taken = this.#waiting.splice(0, count);
    for (const _ of taken) this.#keepAlive.release();
    return taken;
  }
}
