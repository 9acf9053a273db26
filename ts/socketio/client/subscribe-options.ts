/** The options of a subscription at a hub. */

import { invalidAt } from '../../errors';
import { copyOptions } from '../../input/options';
import { checkSignal } from '../../input/signal';
import type { By } from '../protocol';
import { readInteger, readPart } from '../read';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const KEYS = ['by', 'concurrency', 'timeout', 'queue', 'signal', 'retryOnError', 'whenReady'];

export interface HubSubscribeSettings {
  readonly by: By;
  readonly concurrency: number;
  /** In ms; 0: none. */
  readonly timeout: number;
  readonly maxEvents: number;
  readonly keeps: 'newest' | 'oldest';
  readonly signal: AbortSignal | undefined;
  readonly whenReady: boolean;
}

/** Throws `INVALID_OPTIONS` with the path of what is wrong, or of what a hub does not have. */
export function readHubSubscribe(options: unknown): HubSubscribeSettings {
  const given = copyOptions(options);
  for (const key of Object.keys(given)) {
    if (KEYS.includes(key)) continue;
    throw invalidAt(OPTIONS, key, "is not available in mode 'socket.io'");
  }
  const { by = 'type', concurrency, timeout, queue = {}, signal, whenReady = false } = given;
  if (by !== 'type' && by !== 'channel') {
    throw invalidAt(OPTIONS, 'by', "must be 'type' or 'channel'");
  }
  if (given.retryOnError === true) {
    throw invalidAt(OPTIONS, 'retryOnError', "nothing is tried again in mode 'socket.io'");
  }
  checkSignal(signal);
  const { maxEvents, overflow = 'drop-oldest' } = readPart(queue, 'queue', [
    'maxEvents',
    'overflow',
  ]);
  if (overflow !== 'drop-oldest' && overflow !== 'drop-newest') {
    throw invalidAt(OPTIONS, 'queue.overflow', "must be 'drop-oldest' or 'drop-newest'");
  }
  return {
    by,
    concurrency: readInteger(concurrency, 'concurrency', 1, 100_000, 256),
    timeout: readInteger(timeout, 'timeout', 0, 2 ** 31 - 1, 30_000),
    maxEvents: readInteger(maxEvents, 'queue.maxEvents', 1, 10_000_000, 10_000),
    keeps: overflow === 'drop-oldest' ? 'newest' : 'oldest',
    signal,
    whenReady: whenReady === true,
  };
}
