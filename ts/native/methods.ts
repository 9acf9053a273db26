/**
 * The questions of administration, by name, and what each replies with. `Questions` asks them. Their names and arguments
 * are declared in `crates/engine/src/admin`.
 */

import type { DeadLetter, DeadLetters, ReplayResult, Streams } from '../../index';
import type { Answer } from './drained';

/** A dead letter as the engine gives it. */
export type RawLetter<E> = Omit<DeadLetter, 'event'> & { event: E | null };

/** Some of the events of a replay, each with its place. The next page begins behind `last`. */
export interface ReplayPage<E> {
  events: { id: string; stream: string; event: E }[];
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

/**
 * The replies with events. Each is a text, as it was written, or, where it comes beside the reply, its index among those that do.
 */
interface EventReplies<E> {
  'deadLetters.list': RawLetter<E>[];
  'deadLetters.get': RawLetter<E> | null;
  getEvent: E | null;
  getHistory: { events: E[]; complete: boolean };
  'replay.page': ReplayPage<E>;
}

/**
 * The replies. Each method of `streams` and `deadLetters` asks the question of its name, whose reply is what the method
 * resolves to; the others are declared here.
 */
export interface Replies<E extends string | number = string>
  extends RepliesOf<Streams, 'streams'>,
    RepliesOf<Omit<DeadLetters, 'list' | 'get'>, 'deadLetters'>,
    EventReplies<E> {
  'rooms.members': string[];
  'replay.group': GroupReplayPage;
}

export type Method = keyof Replies;

/** The questions about events. */
export type EventMethod = keyof EventReplies<number>;

/** Asks the engine about streams, dead letters or past events, which come as texts. */
export type Ask = <M extends Method>(
  method: M,
  args: Record<string, unknown>,
  signal?: AbortSignal,
) => Promise<Replies[M]>;

/** Asks the engine about events, which come as objects. */
export type AskForEvents = <M extends EventMethod>(
  method: M,
  args: Record<string, unknown>,
  signal?: AbortSignal,
) => Promise<Answer<Replies<number>[M]>>;
