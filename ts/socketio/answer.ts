/** What a socket is answered: the argument of its acknowledgement. */

import type { ErrorCode } from '../../index';
import { busError, describe, EventBusError } from '../errors';

export interface AnswerError {
  code: string;
  message: string;
  /** Of a publish. */
  outcome?: string;
  /** Of bad input. */
  path?: string;
}

export type Answer = { ok: true; value?: unknown } | { ok: false; error: AnswerError };

export function failure(thrown: unknown): Answer {
  if (!(thrown instanceof EventBusError)) {
    return { ok: false, error: { code: 'ERR_BUS_INTERNAL', message: describe(thrown) } };
  }
  const { code, message, outcome, path } = thrown;
  const error: AnswerError = { code, message };
  if (outcome !== undefined) error.outcome = outcome;
  if (path !== undefined) error.path = path;
  return { ok: false, error };
}

export function refusal(code: ErrorCode, message: string): Answer {
  return failure(busError(code, message, { outcome: 'not_sent' }));
}

/** Answers where the socket wants an answer: its last argument is a function then. */
export function acknowledge(args: readonly unknown[], answer: Answer): void {
  const last = args.at(-1);
  if (typeof last === 'function') last(answer);
}
