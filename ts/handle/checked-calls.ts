/** Calls of handlers with what stands around them: the schemas of what comes in, and the hooks of the instrumentation. */

import type { InstrumentedCalls } from '../instrumentation';
import type { HandlerInput } from '../native/native';
import { type Schemas, validateReceived } from '../validation/schemas';
import { CallContext } from './handler-context';
import { NOT_HANDLED } from './settlements';
import type { LiveSubscription } from './subscription';

export class CheckedCalls {
  readonly #schemas: Schemas | undefined;
  readonly #instrumented: InstrumentedCalls;

  constructor(schemas: Schemas | undefined, instrumented: InstrumentedCalls) {
    this.#schemas = schemas;
    this.#instrumented = instrumented;
  }

  /** Whether nothing stands around a handler now. */
  get areDirect(): boolean {
    return this.#schemas === undefined && this.#instrumented.current === undefined;
  }

  /** Calls the handler, after the schemas and within the hooks, as far as there are any. */
  run(subscription: LiveSubscription, event: HandlerInput, context: CallContext): unknown {
    const validated =
      this.#schemas === undefined ? undefined : validateReceived(this.#schemas, event);
    if (validated === undefined) return this.#call(subscription, event, context);
    return this.#callLater(subscription, event, context, validated);
  }

  async #callLater(
    subscription: LiveSubscription,
    event: HandlerInput,
    context: CallContext,
    validated: Promise<void>,
  ): Promise<unknown> {
    await validated;
    // Meanwhile the subscription, or the time of the call, may have ended.
    if (subscription.state === 'closed' || CallContext.isAborted(context)) throw NOT_HANDLED;
    return this.#call(subscription, event, context);
  }

  #call(subscription: LiveSubscription, event: HandlerInput, context: CallContext): unknown {
    const { handler, group, isIterator } = subscription;
    if (this.#instrumented.current === undefined) return handler(event as never, context);
    const run = () => handler(event as never, context);
    return this.#instrumented.run(event, context, group, isIterator, run);
  }
}
