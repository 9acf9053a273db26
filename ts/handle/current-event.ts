/**
 * The event that is being handled, from which a publish inherits. The store is the event itself, so
 * entering a handler allocates nothing. The store is entered only while handlers run, and disabled when
 * the last of them has settled, so that all other code pays nothing for it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { HandlerInput } from '../native/native';

const storage = new AsyncLocalStorage<HandlerInput | undefined>();
/** How many asynchronous handler calls run, over all clients of this realm. */
let running = 0;
/** How many drains are calling handlers right now. */
let entering = 0;

/** Tells that a drain begins to call handlers. The result has to be given to `endHandlers`. */
export function beginHandlers(): HandlerInput | undefined {
  const before = handledEvent();
  entering += 1;
  return before;
}

/** From here on the event is being handled, also in everything that is started from here. */
export function enterHandler(event: HandlerInput): void {
  storage.enterWith(event);
}

/** Tells that the drain is done: the code after it belongs to the event of before, if there was one. */
export function endHandlers(before: HandlerInput | undefined): void {
  entering -= 1;
  storage.enterWith(before);
  disableIfIdle();
}

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

/** Runs code that belongs to no event. */
export function outsideHandlers<T>(run: () => T): T {
  return handledEvent() === undefined ? run() : storage.run(undefined, run);
}

/** Runs code that belongs to an event whose handler still counts as running. */
export function withinHandler<T>(event: HandlerInput, run: () => T): T {
  return storage.run(event, run);
}

/** The event, or the batch, that is being handled where this is called. */
export function handledEvent(): HandlerInput | undefined {
  return running === 0 && entering === 0 ? undefined : storage.getStore();
}
