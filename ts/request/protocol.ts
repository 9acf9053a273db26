/**
 * What clients say to each other about requests. All of it are events on channels of users that nobody joins, so that
 * subscriptions by type do not hear them; what they mean is in their metadata.
 */

import { OwnRecipient } from '../publish/publish-options';
import type { ThrownError } from './thrown-error';

/** The type of the event that answers a request: of its own, so that the schema of the request is not applied to it. */
export const REPLY_TYPE = 'oxbus.reply';
/** The type of the event that takes a request back. */
export const CANCEL_TYPE = 'oxbus.cancel';

/** How all of it is published, as JSON members of the options: live, and with `LOCAL` in this client only. */
export const LIVE = '"durable":false,';
export const LOCAL = `${LIVE}"localOnly":true,`;

/** What these types begin with. */
export const OWN_TYPES = 'oxbus.';
/** What the users begin with whose channels requests go by. */
export const OWN_USERS = 'oxbus:';
/** What these channels begin with. */
export const OWN_CHANNELS = `user:${OWN_USERS}`;

/** Where a client gets its replies. */
export const inboxOf = (instanceId: string) => `oxbus:inbox:${instanceId}`;
/** Where a responder gets its requests. */
export const addressOf = (responder: string) => `oxbus:responder:${responder}`;
/** So many recipients are remembered; of more, those that were met last. */
const MAX_RECIPIENTS = 1000;

/** Recipients by their names: a client asks the same responders again and again, and answers the same clients. */
export class Recipients {
  readonly #known = new Map<string, OwnRecipient>();
  readonly #userOf: (name: string) => string;

  constructor(userOf: (name: string) => string) {
    this.#userOf = userOf;
  }

  find(name: string): OwnRecipient {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const made = new OwnRecipient(this.#userOf(name));
    this.#known.set(name, made);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_RECIPIENTS && oldest !== undefined) this.#known.delete(oldest);
    return made;
  }
}

/** The room whose members are the responders of a type. */
export const roomOf = (type: string) => `oxbus:responders:${type}`;

/** `metadata.request` of a request. */
export interface RequestNote {
  /** Unique in the client that asks. */
  id: number;
  /** How long that client waits, in ms. */
  timeout: number;
}

/** `metadata.reply` of a reply. */
export interface ReplyNote {
  /** That of the request. */
  id: number;
  responder: string;
  /** What the handler has failed with; `data` is null then. */
  error?: ThrownError;
  /** The responder has left, and has not begun with the request. */
  gone?: true;
}

/** `metadata.cancel` of the event that takes a request back: its id. */
export type CancelNote = number;

/** A request as its responder reads it; undefined for what is none. */
export function readRequest(metadata: Record<string, unknown>): RequestNote | undefined {
  const { request } = metadata as { request?: Partial<RequestNote> | null };
  const fits =
    typeof request === 'object' && isId(request?.id) && isDuration(request?.timeout) && true;
  return fits ? (request as RequestNote) : undefined;
}

/** The id of the request that is taken back; undefined for what takes none back. */
export function readCancel(metadata: Record<string, unknown>): number | undefined {
  const { cancel } = metadata;
  return isId(cancel) ? cancel : undefined;
}

/** Undefined for what is no reply. */
export function readReply(metadata: Record<string, unknown>): ReplyNote | undefined {
  const { reply } = metadata as { reply?: Partial<ReplyNote> | null };
  const fits = typeof reply === 'object' && isId(reply?.id) && typeof reply?.responder === 'string';
  return fits ? (reply as ReplyNote) : undefined;
}

/** The start of the client that has asked: the engine writes it into every event. Undefined for foreign events. */
export function askerOf(metadata: Record<string, unknown>): string | undefined {
  const { instanceId } = metadata;
  return typeof instanceId === 'string' && INSTANCE.test(instanceId) ? instanceId : undefined;
}

/** What an id of a client may look like, as it becomes part of a channel. */
const INSTANCE = /^[\w-]{1,128}$/;

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && value > 0;
}
