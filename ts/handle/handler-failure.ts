/** What is told of a call of a handler that failed. */

import type { EventBusError } from '../errors';
import type { HandlerInput } from '../native/native';

export interface HandlerFailure {
  error: EventBusError;
  event: HandlerInput;
  attempt: number;
  /** Whether the event is not tried again. */
  final: boolean;
  /** Whether it is stored, so that it becomes a dead letter then. */
  durable: boolean;
}
