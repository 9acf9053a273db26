/** Promises that code of the user returns. */

/** Takes a value where no promise is expected: the rejection of one must not end the process. */
export function ignoreRejection(value: unknown): void {
  if (value instanceof Promise) value.catch(() => {});
}

/** Whether a value can have a `then` of its own; of others that is known without running code of the user. */
export function mayBeThenable(value: unknown): value is object {
  return value !== null && (typeof value === 'object' || typeof value === 'function');
}

/** Whether it is a promise as the language makes it, so that `await` runs no code of the user. */
export function isPlainPromise(value: object): value is Promise<unknown> {
  return Object.getPrototypeOf(value) === Promise.prototype;
}

/** Whether `await` would wait for a value. Reading `then` may throw. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (!mayBeThenable(value)) return false;
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
