/** Handlers that fail. */

/** Retries that come at once. */
export const FAST = { initialDelay: 1, jitter: 'none' as const };

export function fail(value: unknown): never {
  throw value;
}

/** An error with a code of its own. */
export class StockError extends Error {
  override name = 'StockError';
  code = 'OUT_OF_STOCK';
}
