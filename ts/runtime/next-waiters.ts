/** Those who wait in `next()` of an async iterator, in the order in which they came. */

/** What `next()` resolves to behind the end. */
export const END: IteratorResult<never, undefined> = { done: true, value: undefined };

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

export class NextWaiters<T> {
  readonly #waiting: Waiter<T>[] = [];

  /** Waits for the next value, for a failure, or for the end. */
  wait(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Gives a value to the one who waits longest. False when nobody waits. */
  give(value: T): boolean {
    const waiter = this.#waiting.shift();
    waiter?.resolve({ done: false, value });
    return waiter !== undefined;
  }

  /** Fails the one who waits longest. False when nobody waits. */
  fail(error: unknown): boolean {
    const waiter = this.#waiting.shift();
    waiter?.reject(error);
    return waiter !== undefined;
  }

  /** There will be no more values. */
  end(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(END);
  }
}
