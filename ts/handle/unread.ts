/** What cannot be read of a drain: an event that cannot be built, and all that come after it, as nobody knows where they begin. */

import { busError, describe, type EventBusError } from '../errors';
import type { DeliveryRun } from '../native/drained';
import { Settlement } from '../native/settlement';
import type { Settlements } from './settlements';

/** Why an event could not be built, and how many of the calls of its run were made before it. */
export interface BuildFault {
  readonly error: unknown;
  readonly made: number;
}

/**
 * Settles as failed all calls of these runs but the first `made`, so that they are retried as after a failure of their handlers: an
 * entry of a group that can never be built ends as a dead letter. Returns the error that tells of them together.
 */
export function failUnread(
  settlements: Settlements,
  runs: readonly DeliveryRun[],
  { error: cause, made }: BuildFault,
): EventBusError {
  let calls = 0;
  let skipped = made;
  for (const [, firstToken, count, info] of runs) {
    const tokens = info !== 0 && info.batch !== undefined ? 1 : count;
    for (let index = skipped; index < tokens; index += 1) {
      const token = (firstToken + index) >>> 0;
      if (info !== 0 && info.stream !== undefined) settlements.setError(token, cause);
      settlements.add(token, Settlement.failed, 0, 0);
      calls += 1;
    }
    skipped = 0;
  }
  const message = `${calls} handler calls failed, as an event that came in could not be built: ${describe(cause)}`;
  return busError('ERR_BUS_INTERNAL', message, { cause });
}
