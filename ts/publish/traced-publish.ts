/** A publish with hooks around it. */

import type { PublishResult } from '../../index';
import { type EventBusError, notSent } from '../errors';
import type { InstrumentedCalls, OpenPublish } from '../instrumentation';
import type { PublishWatcher } from './batch';

/** Tells hooks how a publish ends that is an event of a batch. */
export class TracedEvent implements PublishWatcher {
  readonly #instrumented: InstrumentedCalls;
  readonly #open: OpenPublish;

  constructor(instrumented: InstrumentedCalls, open: OpenPublish) {
    this.#instrumented = instrumented;
    this.#open = open;
  }

  published(result: PublishResult): void {
    this.#instrumented.publishSucceeded(this.#open, result);
  }

  failed(error: EventBusError): void {
    this.#instrumented.publishFailed(this.#open, error);
  }
}

/** Tells hooks how a publish ends that has a promise of its own. */
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
