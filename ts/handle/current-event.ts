/**
 * Where the code of users runs: in the empty context of the bus, with the event that is being handled as the only thing
 * in it. A publish inherits from that event. The store is the event itself, so entering it allocates nothing. It is
 * entered only while code of users runs, and disabled when the last handler has settled, so that all other code pays
 * nothing for it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { HandlerInput } from '../native/native';
import { emptyContext } from '../runtime/empty-context';

type Code = (a: unknown, b: unknown) => unknown;

const storage = new AsyncLocalStorage<HandlerInput | undefined>();
/** How many asynchronous handler calls run, over all clients of this realm. */
let running = 0;
/** How many drains are calling handlers, or other code of users, right now. */
let entering = 0;

/** Tells that a handler call goes on after the drain. */
export function handlerStarted(): void {
  running += 1;
}

/** Tells that such a call has settled, or that its time is over. */
export function handlerEnded(): void {
  running -= 1;
  disableIfIdle();
}

function disableIfIdle(): void {
  if (running === 0 && entering === 0) storage.disable();
}

/**
 * Calls code of the user, or code of the bus that outlives the one who called it. There is no context but `event`, which
 * is also the one of everything that is started from there; undefined for none. What the code enters ends with the call.
 */
export function callIn<R>(event: HandlerInput | undefined, code: () => R): R;
export function callIn<A, B, R>(
  event: HandlerInput | undefined,
  code: (a: A, b: B) => R,
  a: A,
  b: B,
): R;
export function callIn(event: HandlerInput | undefined, code: Code, a?: unknown, b?: unknown) {
  entering += 1;
  try {
    return emptyContext().runInAsyncScope(enter, undefined, event, code, a, b);
  } finally {
    entering -= 1;
    disableIfIdle();
  }
}

function enter(event: HandlerInput | undefined, code: Code, a: unknown, b: unknown): unknown {
  if (event !== undefined) storage.enterWith(event);
  return code(a, b);
}

/** The same without arguments, for code that belongs to no event. */
export function callOutside<R>(code: () => R): R {
  return callIn(undefined, code);
}

/** The same for code that belongs to the event that is being handled here, if there is one. */
export function callHere<R>(code: () => R): R {
  return callIn(handledEvent(), code);
}

/** The event, or the batch, that is being handled where this is called. */
export function handledEvent(): HandlerInput | undefined {
  return running === 0 && entering === 0 ? undefined : storage.getStore();
}
