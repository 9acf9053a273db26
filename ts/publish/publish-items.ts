/** Many publishes in one call: `publishBatch`. */

import type { PublishOptions, PublishResult } from '../../index';
import { stackFromCaller } from '../caller-stacks';
import { invalidAt } from '../errors';
import { copyOptions, reading } from '../input/options';
import { type Batch, resultOf } from './batch';
import { readItem } from './publish-options';

/** What it needs of its client. */
interface Publishing {
  publish(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
  ): Batch | Promise<PublishResult>;
  flush(): void;
}

/**
 * Publishes the items in one pipeline; each settles for itself. Throws for items or options that are wrong as a whole. `method`
 * marks in the stacks of errors where the call of the user begins.
 */
export function publishBatch(
  core: Publishing,
  items: unknown,
  options: PublishOptions | undefined,
  // biome-ignore lint/complexity/noBannedTypes: any method is a mark for the stack
  method: Function,
): Promise<PromiseSettledResult<PublishResult>[]> {
  const given = reading('items', () => Array.isArray(items) && ([...items] as unknown[]));
  if (given === false) throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'items', 'must be an array');
  const defaults = copyOptions(options);
  const calls = given.map(async (item) => {
    const { type, data, options: its } = readItem(item, defaults);
    return resultOf(core.publish(type, data, its));
  });
  core.flush();
  return settled(calls, method);
}

async function settled(
  calls: Promise<PublishResult>[],
  // biome-ignore lint/complexity/noBannedTypes: any method is a mark for the stack
  method: Function,
): Promise<PromiseSettledResult<PublishResult>[]> {
  const results = await Promise.allSettled(calls);
  for (const result of results) {
    if (result.status === 'rejected') stackFromCaller(result.reason, method);
  }
  return results;
}
