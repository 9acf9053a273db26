/**
 * The questions of administration, by name, and what each replies with. `Core.ask` asks them. Their names and arguments
 * are declared in `crates/engine/src/admin`.
 */

import type { DeadLetter, DeadLetters, ReplayResult, Streams } from '../../index';

/** A dead letter as the engine gives it: its event is JSON text. */
export type RawLetter = Omit<DeadLetter, 'event'> & { event: string | null };

/** Some of the events of a replay, each with its place. The next page begins behind `last`. */
export interface ReplayPage {
  events: { id: string; stream: string; event: string }[];
  last: string | null;
  truncated: boolean;
  done: boolean;
  /** How many entries hold no event. */
  undecodable: number;
}

/** The counts for some of the events that a group is sent. */
export interface GroupReplayPage extends ReplayResult {
  last: string | null;
  done: boolean;
}

/** What a method of the contract resolves to, as it crosses. */
type Reply<F> = F extends (...args: never[]) => Promise<infer R>
  ? [undefined] extends [R]
    ? null
    : R
  : never;

/** The replies to the questions that are named after the methods of a part of the contract. */
type RepliesOf<T, Part extends string> = {
  [K in keyof T & string as `${Part}.${K}`]: Reply<T[K]>;
};

/** Its events cross as JSON text, which V8 reads as it was written. */
type WithEvents = 'list' | 'get';

/**
 * The replies. Each method of `streams` and `deadLetters` asks the question of its name, whose reply is what the method
 * resolves to; the others are declared here.
 */
export interface Replies
  extends RepliesOf<Streams, 'streams'>,
    RepliesOf<Omit<DeadLetters, WithEvents>, 'deadLetters'> {
  'deadLetters.list': RawLetter[];
  'deadLetters.get': RawLetter | null;
  getEvent: string | null;
  getHistory: { events: string[]; complete: boolean };
  'rooms.members': string[];
  'replay.page': ReplayPage;
  'replay.group': GroupReplayPage;
}

export type Method = keyof Replies;

/** Asks the engine about streams, dead letters or past events. */
export type Ask = <M extends Method>(
  method: M,
  args: Record<string, unknown>,
  signal?: AbortSignal,
) => Promise<Replies[M]>;
