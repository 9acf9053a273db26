/** The answers of a handler of messages, on their way to who has asked. */

import type { BusEvent, EventBusClient, HandlerContext } from '../../../index';
import { onAbort } from '../../runtime/signals';
import type { Rxjs } from './packages';
import { ANSWERS_TYPE, ASKS, answersFor, errorFor, replyOf, type SentAnswers } from './protocol';
import { asError } from './rpc-exception';

/**
 * Resolves to the reply. What one turn of the event loop brings goes together; the last answer is the reply itself where it is
 * the only one. Ends the stream when who has asked does not wait any more.
 */
export function answer(
  bus: EventBusClient,
  stream: Rxjs.Observable<unknown>,
  event: BusEvent,
  { signal }: HandlerContext,
): Promise<unknown> {
  const request = event.metadata[ASKS];
  const { instanceId } = event.metadata;
  return typeof request === 'number' && instanceId !== undefined
    ? new Answering(bus, request, instanceId).follow(stream, signal)
    : lastOf(stream, signal);
}

/** For who does not know of several answers. */
function lastOf(stream: Rxjs.Observable<unknown>, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let last: unknown;
    const subscription = stream.subscribe({
      next: (value) => {
        last = value;
      },
      error: (error) => reject(asError(error)),
      complete: () => resolve(last),
    });
    endAtAbort(subscription, signal, () => resolve(undefined));
  });
}

/** Nobody waits for the answers any more: the handler has ended then. */
function endAtAbort(subscription: Rxjs.Subscription, signal: AbortSignal, ended: () => void): void {
  if (subscription.closed) return;
  const stop = onAbort(signal, () => {
    subscription.unsubscribe();
    ended();
  });
  subscription.add(stop);
}

class Answering {
  readonly #bus: EventBusClient;
  readonly #request: number;
  readonly #user: string;
  #sent = 0;
  #waiting: unknown[] = [];
  #sending: Promise<unknown>[] = [];
  #failure: { error: unknown } | undefined;
  #isScheduled = false;

  constructor(bus: EventBusClient, request: number, instanceId: string) {
    this.#bus = bus;
    this.#request = request;
    this.#user = answersFor(instanceId);
  }

  follow(stream: Rxjs.Observable<unknown>, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const end = (error?: { error: unknown }) => this.#reply(error).then(resolve, reject);
      const subscription = stream.subscribe({
        next: (value) => this.#take(value),
        error: (error) => end({ error: errorFor(error) }),
        complete: () => (this.#isOne ? resolve(this.#waiting.pop()) : end()),
      });
      endAtAbort(subscription, signal, () => resolve(undefined));
    });
  }

  /** Whether there is one answer so far, which has not been sent: such is most of what interceptors make of results. */
  get #isOne(): boolean {
    return this.#sent === 0 && this.#waiting.length === 1;
  }

  #take(value: unknown): void {
    this.#waiting.push(value);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    const answers = this.#waiting;
    if (answers.length === 0) return;
    this.#waiting = [];
    const data: SentAnswers = { request: this.#request, at: this.#sent, answers };
    this.#sent += 1;
    const sent = this.#bus.publishToUser(this.#user, ANSWERS_TYPE, data);
    // The bus bounds what is under way, so those that wait here are bounded; the first that fails is the end.
    this.#sending.push(
      sent.catch((error) => {
        this.#failure ??= { error };
      }),
    );
  }

  async #reply(failed: { error: unknown } | undefined): Promise<unknown> {
    this.#send();
    await Promise.all(this.#sending);
    if (this.#failure !== undefined) throw this.#failure.error;
    return replyOf({ sent: this.#sent, ...failed });
  }
}
