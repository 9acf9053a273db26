/** What a dispatcher needs of its client, and what it tells it. */

import type { EventBusError } from '../errors';
import type { InstrumentedCalls } from '../instrumentation';
import type { Timers } from '../runtime/timers';
import type { Schemas } from '../validation/schemas';
import type { HandlerFailure } from './handler-failure';

export interface DispatcherOptions {
  channelPrefix: string;
  inherit: boolean;
  /** Given when received events are validated. */
  schemas: Schemas | undefined;
  timers: Timers;
  /** The hooks for tracing, if there are any. */
  instrumented: InstrumentedCalls;
}

export interface DispatcherSink {
  handlerFailed(failure: HandlerFailure): void;
  /** Told of a fault that is no failure of a handler. */
  faulty(error: EventBusError): void;
}
