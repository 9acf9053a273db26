/** The methods of administration, by name, and what each replies with. `Core.ask` calls them. */

import type {
  DeadLetter,
  PendingMessage,
  RecoverResult,
  ReplayResult,
  StreamInfo,
} from '../../index';

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

/** The replies. An event in a reply is JSON text, which V8 reads as it was written. */
export interface Replies {
  'streams.info': StreamInfo;
  'streams.list': StreamInfo[];
  'streams.pending': PendingMessage[];
  'streams.recover': RecoverResult;
  /** How many entries were removed. */
  'streams.trim': number;
  'streams.setPosition': null;
  /** Whether there was one. */
  'streams.removeGroup': boolean;
  'deadLetters.list': RawLetter[];
  'deadLetters.get': RawLetter | null;
  'deadLetters.replay': { messageId: string } | null;
  /** How many. */
  'deadLetters.replayAll': number;
  /** Whether there was one. */
  'deadLetters.remove': boolean;
  /** How many. */
  'deadLetters.purge': number;
  'deadLetters.count': number;
  getEvent: string | null;
  getHistory: string[];
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
