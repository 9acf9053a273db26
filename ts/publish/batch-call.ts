/** The call that publishes several events, of which each has a result of its own. */

import type { PublishOptions, PublishResult } from '../../index';
import { stackFromCaller, traceCall } from '../caller-stacks';
import { invalidAt } from '../errors';
import { copyOptions, reading } from '../input/options';
import { type Batch, resultOf } from './batch';
import { readItem } from './publish-options';

/** Where the events go. */
interface Target {
  publish(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
  ): Batch | Promise<PublishResult>;
  flush(): void;
}

/**
 * Publishes all items in one tick. Throws at once for what is no array, or options that cannot be read. The errors among
 * the results have the stack of the call of `method`.
 */
export async function publishBatch(
  target: Target,
  items: unknown,
  options: unknown,
  // biome-ignore lint/complexity/noBannedTypes: any method is a mark for the stack
  method: Function,
): Promise<PromiseSettledResult<PublishResult>[]> {
  // This function, the method, and what has replaced the method.
  const call = traceCall(3);
  const given = reading('items', () => Array.isArray(items) && ([...items] as unknown[]));
  if (given === false) throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'items', 'must be an array');
  const defaults = copyOptions(options);
  const calls = given.map((item) => publishItem(target, item, defaults));
  target.flush();
  const results = await Promise.allSettled(calls);
  for (const result of results) {
    if (result.status === 'rejected') stackFromCaller(result.reason, method, call);
  }
  return results;
}

async function publishItem(
  target: Target,
  item: unknown,
  defaults: PublishOptions,
): Promise<PublishResult> {
  const { type, data, options } = readItem(item, defaults);
  return resultOf(target.publish(type, data, options));
}
