/** Ends the calls whose events other consumers have claimed. */

import { busError } from '../errors';
import type { HandlerInput, RawEvent } from '../native/native';
import type { Call } from './call';
import { callIn } from './current-event';
import { BatchCallContext, CallContext } from './handler-context';
import type { LiveSubscription } from './subscription';

/** What the dispatcher knows of its calls. */
export interface KnownCalls {
  subscriptions: Iterable<LiveSubscription>;
  running: Iterable<Call<LiveSubscription>>;
  /** Whether code of the user runs within the event of its call. */
  inherit: boolean;
  /** Settles a call that is not made. */
  notHandled(token: number): void;
}

/**
 * Aborts the signals of the lost calls that run, and takes away the ones that are buffered. Returns the event of that
 * message, if one of the calls is still there.
 */
export function endLostCalls(
  calls: KnownCalls,
  tokens: readonly number[],
  messageId: string,
): RawEvent | undefined {
  const lost = new Set(tokens);
  const reason = busError('ERR_BUS_ABORTED', 'the claim was lost to another consumer');
  let event: RawEvent | undefined;
  for (const subscription of calls.subscriptions) {
    for (const one of subscription.buffered) {
      if (!lost.has(one.token)) continue;
      event = eventOfMessage(one.event, one.messageId, messageId);
      calls.notHandled(one.token);
      subscription.buffered = subscription.buffered.filter((other) => other !== one);
    }
  }
  // A copy: an abort runs code of the user, which may end other calls.
  for (const call of [...calls.running]) {
    if (!lost.has(call.token)) continue;
    const { context } = call;
    const ids = context instanceof BatchCallContext ? context.messageIds : messageId;
    event = eventOfMessage(call.event, ids, messageId);
    callIn(calls.inherit ? call.event : undefined, CallContext.abort, context, reason);
  }
  return event;
}

/** The event of a message id: the one given, or one of a batch. */
function eventOfMessage(
  event: HandlerInput,
  ids: string | readonly string[],
  messageId: string,
): RawEvent | undefined {
  return Array.isArray(event) ? event[ids.indexOf(messageId)] : event;
}
