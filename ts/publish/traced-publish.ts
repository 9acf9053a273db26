/** A publish with hooks around it. */

import type { PublishResult } from '../../index';
import { notSent } from '../errors';
import type {
  Instrumentation,
  InstrumentedCalls,
  OpenPublish,
  PublishCall,
  TraceContext,
} from '../instrumentation';
import { Batch } from './batch';

/**
 * Publishes within hooks. It awaits the batch itself, and hooks are told and wrap nothing: each promise more for an event is one
 * that those who follow contexts see.
 */
export async function tracedPublish(
  instrumented: InstrumentedCalls,
  hooks: Instrumentation,
  call: PublishCall,
  send: (trace: TraceContext | undefined) => Batch | Promise<PublishResult>,
): Promise<PublishResult> {
  let open: OpenPublish | undefined;
  let result: PublishResult;
  try {
    open = hooks.publish(call);
    const added = send(open.trace);
    if (added instanceof Batch) {
      const index = added.last;
      do await added.progress;
      while (added.outcomes[index] === undefined);
      result = added.result(index);
    } else {
      result = await added;
    }
  } catch (error) {
    notSent(error);
    instrumented.tell(() => open?.failed(error));
    throw error;
  }
  instrumented.tell(() => open.succeeded(result));
  return result;
}
