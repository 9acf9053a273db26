/**
 * Time limits of many calls by few timers. The limits of one length end in the order in which they began, so they share one
 * timer, which is set anew only when it has fired: a call that ends in time costs no timer at all.
 */

import { callOutside } from '../handle/current-event';
import type { Timer, Timers } from './timers';

/** Whose time is limited. `timedOut` is called in the empty context, and must not throw. */
export interface TimedCall {
  timedOut(): void;
}

/** So many lengths share timers. A limit of any other length has a timer of its own. */
const MAX_LENGTHS = 100;
/** The timer of a longer limit is cleared when nothing waits for it, in ms; a shorter one fires for nothing. */
const CLEARED_FROM = 60_000;

/** A limit that was set. */
export class Deadline {
  readonly call: TimedCall;
  readonly at: number;
  readonly queue: Queue | undefined;
  timer: Timer | undefined;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  isOver = false;

  constructor(call: TimedCall, at: number, queue: Queue | undefined) {
    this.call = call;
    this.at = at;
    this.queue = queue;
  }
}

/** The limits of one length, in their order. */
interface Queue {
  readonly length: number;
  head: Deadline | undefined;
  tail: Deadline | undefined;
  timer: Timer | undefined;
}

export class Deadlines {
  readonly #timers: Timers;
  readonly #queues = new Map<number, Queue>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Ends the time of a call in `length` ms, unless `clear` comes first. It does not keep the process alive. */
  set(call: TimedCall, length: number): Deadline {
    const queue = this.#queues.get(length) ?? this.#begin(length);
    const deadline = new Deadline(call, this.#timers.now() + length, queue);
    if (queue === undefined) {
      deadline.timer = this.#arm(() => this.#expire(deadline), length);
      return deadline;
    }
    deadline.previous = queue.tail;
    if (queue.tail === undefined) queue.head = deadline;
    else queue.tail.next = deadline;
    queue.tail = deadline;
    queue.timer ??= this.#arm(() => this.#fire(queue), length);
    return deadline;
  }

  clear(deadline: Deadline | undefined): void {
    if (deadline === undefined || deadline.isOver) return;
    deadline.isOver = true;
    const { queue, previous, next } = deadline;
    if (queue === undefined) {
      this.#timers.clear(deadline.timer);
      return;
    }
    if (previous === undefined) queue.head = next;
    else previous.next = next;
    if (next === undefined) queue.tail = previous;
    else next.previous = previous;
    if (queue.head === undefined && queue.length >= CLEARED_FROM) this.#end(queue);
  }

  #begin(length: number): Queue | undefined {
    if (this.#queues.size >= MAX_LENGTHS) return undefined;
    const queue: Queue = { length, head: undefined, tail: undefined, timer: undefined };
    this.#queues.set(length, queue);
    return queue;
  }

  #end(queue: Queue): void {
    this.#timers.clear(queue.timer);
    this.#queues.delete(queue.length);
  }

  #fire(queue: Queue): void {
    queue.timer = undefined;
    const now = this.#timers.now();
    while (queue.head !== undefined && queue.head.at <= now) this.#expire(queue.head);
    if (queue.head === undefined) this.#end(queue);
    else queue.timer ??= this.#arm(() => this.#fire(queue), queue.head.at - now);
  }

  #expire(deadline: Deadline): void {
    this.clear(deadline);
    deadline.call.timedOut();
  }

  /** The timer serves whoever comes, so it must not keep the context of the one who came first. */
  #arm(run: () => void, delay: number): Timer {
    const timer = callOutside(() => this.#timers.set(run, Math.max(1, Math.ceil(delay))));
    timer.unref();
    return timer;
  }
}
