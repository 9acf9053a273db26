/** The package's exports; `index.d.ts` describes them. */

import { stackFromCaller } from './caller-stacks';
import { invalidAt } from './errors';
import { native } from './native/native';

export { EventBusClient } from './client/client';
export {
  ConnectionError,
  ERROR_CODES,
  EventBusError,
  HandlerError,
  NonRetryableError,
  ResourceError,
  RetryLater,
  TimeoutError,
  ValidationError,
} from './errors';
export { EventBusManager, eventBusManager } from './manager/manager';
export { rawJson } from './raw-json';
export { EventValidator } from './validation/validator';

export function escapePattern(text: string): string {
  if (typeof text !== 'string') {
    const error = invalidAt('ERR_BUS_INVALID_PATTERN', 'text', 'must be a string');
    throw stackFromCaller(error, escapePattern);
  }
  return native.escapePattern(text);
}
