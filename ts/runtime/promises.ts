/** Promises of others that nobody waits for. */

/** What code of the user returned where no promise is expected: its rejection must not end the process. */
export function ignoreRejection(value: unknown): void {
  if (value instanceof Promise) value.catch(() => {});
}
