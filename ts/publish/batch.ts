/** The publishes that cross to the engine in one call, and their outcomes. */

import type { Outcome, PublishResult } from '../../index';
import { busError, type EventBusError } from '../errors';
import type { ParsedPublishOptions } from './publish-options';

/** A publish that failed, among the outcomes of its batch. */
export class PublishFailure {
  readonly error: EventBusError;

  constructor(error: EventBusError) {
    this.error = error;
  }
}

/** The result of every event that nobody waits for and that someone has received: its watcher is not told. */
export const HEARD: PublishResult = Object.freeze({
  eventId: '',
  type: '',
  channel: '',
  timestamp: '',
  receivers: 1,
  local: 0,
});

/** Told of the outcome of one event by the drain that brings it, before its caller is. Neither may throw. */
export interface PublishWatcher {
  published(result: PublishResult): void;
  failed(error: EventBusError): void;
}

/**
 * Index `i` of each array belongs to the same event.
 *
 * All callers wait for one promise: the results of a batch come together, and a promise with its resolving functions
 * for each event would cost as much as everything else that is done here for it.
 */
export class Batch {
  readonly number: number;
  readonly types: string[] = [];
  readonly options: (ParsedPublishOptions | undefined)[] = [];
  readonly outcomes: (PublishResult | PublishFailure | undefined)[] = [];
  /** Three lines for each event: its type, its options and its data. */
  records = '';
  /** The lines of `records`, once one of them is needed again. */
  lines: string[] | undefined;
  /** Whether it keeps the process alive. */
  isHeld = false;
  /** Whether this client's own handlers are to run before the server gets it. */
  isHereFirst = false;
  /** How many events have no outcome yet. */
  unsettled = 0;
  /** In hybrid mode, by index: how many subscriptions of this client the event was delivered to. */
  local: number[] | undefined;
  /** How many of them are quiet. */
  quiet = 0;
  /** By index: who is told of the outcome, once. */
  readonly #watchers: (PublishWatcher | undefined)[] = [];
  /** By index, as far as there are quiet ones. */
  readonly #areQuiet: boolean[] = [];
  /** Whoever watches an event before this one was told. */
  #told = 0;
  /** Set when the batch is handed over, if publishes of this client are retried. */
  startedAt = 0;
  /** Resolves when some of the events are settled; a new promise follows unless all of them are. */
  progress: Promise<void>;
  #resolveProgress!: () => void;
  readonly #keepResolve = (resolve: () => void): void => {
    this.#resolveProgress = resolve;
  };

  constructor(number: number) {
    this.number = number;
    this.progress = new Promise(this.#keepResolve);
  }

  /** Whether each of its events that is not settled is quiet. */
  get isOnlyQuiet(): boolean {
    return this.quiet === this.unsettled && this.unsettled > 0;
  }

  /** The index of the event that was added last. */
  get last(): number {
    return this.types.length - 1;
  }

  settle(index: number, outcome: PublishResult | PublishFailure): void {
    this.outcomes[index] = outcome;
    this.unsettled -= 1;
    if (this.quiet > 0 && this.#areQuiet[index] === true) this.quiet -= 1;
  }

  /** Refuses the events that are not settled, as their client has closed. */
  refuse(outcome: Outcome): void {
    for (let index = 0; index < this.outcomes.length; index += 1) {
      if (this.outcomes[index] !== undefined) continue;
      const closed = busError('ERR_BUS_CLOSED', 'the client is closed', { outcome });
      this.settle(index, new PublishFailure(closed));
    }
    this.resumeCallers();
  }

  /** Tells those who watch, and lets the callers look whether their events are settled. */
  resumeCallers(): void {
    if (this.#told < this.#watchers.length) this.#tellWatchers();
    const resolve = this.#resolveProgress;
    if (this.unsettled > 0) this.progress = new Promise(this.#keepResolve);
    resolve();
  }

  /** Tells `watcher` of the outcome of the event that was added last. Of a quiet one nobody waits for that. */
  watch(watcher: PublishWatcher, isQuiet: boolean): void {
    const { last } = this;
    this.#watchers[last] = watcher;
    if (!isQuiet) return;
    this.quiet += 1;
    this.#areQuiet[last] = true;
  }

  #tellWatchers(): void {
    let told = this.#watchers.length;
    for (let index = this.#told; index < this.#watchers.length; index += 1) {
      const watcher = this.#watchers[index];
      if (watcher === undefined) continue;
      const outcome = this.outcomes[index];
      if (outcome === undefined) {
        told = Math.min(told, index);
        continue;
      }
      this.#watchers[index] = undefined;
      if (outcome instanceof PublishFailure) watcher.failed(outcome.error);
      else if (outcome !== HEARD) watcher.published(outcome);
    }
    this.#told = told;
  }

  /** The result of a settled event, or its error thrown. */
  result(index: number): PublishResult {
    const outcome = this.outcomes[index] as PublishResult | PublishFailure;
    if (outcome instanceof PublishFailure) throw outcome.error;
    return outcome;
  }

  /** The result of an event once it is settled. */
  async resultOf(index: number): Promise<PublishResult> {
    do await this.progress;
    while (this.outcomes[index] === undefined);
    return this.result(index);
  }

  /** The three lines of an event: its type, its options and its data. */
  linesOf(index: number): [type: string, options: string, data: string] {
    this.lines ??= this.records.split('\n');
    return this.lines.slice(index * 3, index * 3 + 3) as [string, string, string];
  }
}

/** The result of the event that was added last. */
export function resultOf(added: Batch | Promise<PublishResult>): Promise<PublishResult> {
  return added instanceof Batch ? added.resultOf(added.last) : added;
}
