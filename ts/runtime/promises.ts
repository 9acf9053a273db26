/** Promises that code of the user returns. */

/** Takes a value where no promise is expected: the rejection of one must not end the process. */
export function ignoreRejection(value: unknown): void {
  if (value instanceof Promise) value.catch(() => {});
}

/** Whether `await` would wait for a value. Reading `then` may throw. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
