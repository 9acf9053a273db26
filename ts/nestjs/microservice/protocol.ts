/**
 * What `OxbusServer` and `OxbusClient` say to each other beside a plain request and its reply. One answer is the reply itself, so
 * that programs without Nest ask and answer as well. Where there are more, all but the reply come as events on a channel of
 * the client that asks, and the reply says how many.
 */

import { describe, member } from '../../errors';
import { microservices } from './packages';

/** The metadata of a request: the number by which the client knows it. Who asks without it gets the last answer alone. */
export const ASKS = 'nestRequest';
/** The type of an event with answers. */
export const ANSWERS_TYPE = 'oxbus.nest.answers';
/** The member of a reply that is no answer by itself. */
const NOTE = 'oxbus.nest';

/** The metadata of an event: what the hook of a client of Nest has said of a packet. */
export const PACKET = 'nestPacket';

/** The user whose channel has the answers for a client. */
export const answersFor = (instanceId: string) => `oxbus:nest:${instanceId}`;

/** The data of an event with answers. */
export interface SentAnswers {
  request: number;
  /** Its place among those of the request, from 0. */
  at: number;
  answers: unknown[];
}

/** What a reply says that is no answer by itself. */
export interface ReplyNote {
  /** How many events with answers were sent. */
  sent: number;
  /** What the handler has failed with behind them, as `RpcException` has it. */
  error?: unknown;
}

export function replyOf(note: ReplyNote): Record<string, ReplyNote> {
  return { [NOTE]: note };
}

export function noteIn(reply: unknown): ReplyNote | undefined {
  if (typeof reply !== 'object' || reply === null || Array.isArray(reply)) return undefined;
  return (reply as Record<string, ReplyNote | undefined>)[NOTE];
}

/** What a handler has failed with, as a client of Nest gets it: what `RpcException` was given, or what an error says of itself. */
export function errorFor(thrown: unknown): unknown {
  if (thrown instanceof microservices.RpcException) {
    const error = thrown.getError();
    return typeof error === 'object' ? error : { status: 'error', message: error };
  }
  if (!(thrown instanceof Error)) return thrown;
  const code = member(thrown, 'code');
  return {
    status: 'error',
    name: thrown.name,
    message: describe(thrown),
    ...(typeof code === 'string' && { code }),
  };
}
