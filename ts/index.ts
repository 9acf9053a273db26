/** The package's exports; `index.d.ts` describes them. */

import { native } from './native';

export { EventBusClient } from './client';
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
export { EventValidator } from './validator';

export function escapePattern(text: string): string {
  return native.escapePattern(String(text));
}
