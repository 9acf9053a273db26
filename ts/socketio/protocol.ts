/** The names of the protocol between a hub and its clients; `docs/socket-io.md` describes it. */

/** Rooms of Socket.IO that a hub keeps its clients in begin so. */
export const RESERVED_ROOMS = 'oxbus:';

/** What a client asks. Each takes an acknowledgement. */
export const ASKS = {
  subscribe: 'oxbus:subscribe',
  unsubscribe: 'oxbus:unsubscribe',
  publish: 'oxbus:publish',
  join: 'oxbus:join',
  leave: 'oxbus:leave',
  members: 'oxbus:members',
  auth: 'oxbus:auth',
  ping: 'oxbus:ping',
} as const;

/** What a hub tells: who it is and until when, an event, and that events may have been missed. */
export const TOLD = {
  welcome: 'oxbus:welcome',
  event: 'oxbus:event',
  gap: 'oxbus:gap',
} as const;

export type Ask = keyof typeof ASKS;

export interface Welcome {
  /** The `instanceId` of the bus of the hub. */
  hub: string;
  /** When the connection ends without a new `auth`, in ms since 1970; null: never. */
  expires: number | null;
}

export type By = 'type' | 'channel';

/** What a subscription is known by, to both ends. */
export function keyOf(pattern: string | readonly string[], by: By): string {
  return `${by}:${JSON.stringify(pattern)}`;
}
