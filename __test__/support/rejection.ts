import type { EventBusError } from '../..';

/** What a call rejects with; one that does not is a failure of the test. */
export function rejection(call: Promise<unknown>): Promise<EventBusError> {
  return call.then(
    () => Promise.reject(new Error('the call was accepted')),
    (error) => error,
  );
}
