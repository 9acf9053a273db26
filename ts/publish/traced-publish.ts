/** A publish with hooks around it. */

import type { PublishResult } from '../../index';
import { notSent } from '../errors';
import type { InstrumentedCalls, OpenPublish } from '../instrumentation';

/** Tells hooks how a publish ends that has a promise of its own: of the events of a batch the batch tells it. */
export async function tracedPublish(
  instrumented: InstrumentedCalls,
  open: OpenPublish,
  published: Promise<PublishResult>,
): Promise<PublishResult> {
  let result: PublishResult;
  try {
    result = await published;
  } catch (error) {
    notSent(error);
    instrumented.publishFailed(open, error);
    throw error;
  }
  instrumented.publishSucceeded(open, result);
  return result;
}
