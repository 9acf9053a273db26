/**
 * What a publish inherits from the event being handled. The store is the event itself, so entering a
 * handler allocates nothing. It is entered only while handlers run and disabled when the last one has
 * settled, so that everyone else pays nothing for it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Handled } from '../native/native';

const storage = new AsyncLocalStorage<Handled | undefined>();
/** Asynchronous handler calls that run, over all clients of this realm. */
let running = 0;
/** Whether a drain is entering handlers right now. */
let entering = 0;

/** A drain begins to call handlers; what it answers is for `endHandlers`. */
export function beginHandlers(): Handled | undefined {
  const before = handledEvent();
  entering += 1;
  return before;
}

/** The event is handled from here on, and in whatever is started from here. */
export function enterHandler(event: Handled): void {
  storage.enterWith(event);
}

/** The drain is done: what runs after it belongs to no event, or to that of before. */
export function endHandlers(before: Handled | undefined): void {
  entering -= 1;
  storage.enterWith(before);
  disableIfIdle();
}

/** A handler call goes on after the drain. */
export function handlerStarted(): void {
  running += 1;
}

/** Such a call has settled, or its time is over. */
export function handlerEnded(): void {
  running -= 1;
  disableIfIdle();
}

function disableIfIdle(): void {
  if (running === 0 && entering === 0) storage.disable();
}

/** Runs what belongs to no event. */
export function outsideHandlers<T>(run: () => T): T {
  return handledEvent() === undefined ? run() : storage.run(undefined, run);
}

/** Runs what belongs to an event whose handler is still counted as running. */
export function withinHandler<T>(event: Handled, run: () => T): T {
  return storage.run(event, run);
}

/** The event being handled where this is called, or the batch. */
export function handledEvent(): Handled | undefined {
  return running === 0 && entering === 0 ? undefined : storage.getStore();
}
