/** What went wrong, as an answer: problem details (RFC 9457). Nothing in it tells of the inside. */

import { STATUS_CODES } from 'node:http';
import type { ErrorCode } from '../../index';
import { EventBusError } from '../errors';
import { type Answer, jsonAnswer } from './answer';

export interface ProblemDetails {
  detail?: string;
  code?: string;
  /** Of a publish: what became of it. */
  outcome?: string;
}

/** Thrown where a request cannot be answered as it was meant. */
export class Problem extends Error {
  readonly status: number;
  readonly details: ProblemDetails;
  readonly headers: Record<string, string>;

  constructor(status: number, details: ProblemDetails = {}, headers: Record<string, string> = {}) {
    super(details.detail ?? STATUS_CODES[status]);
    this.status = status;
    this.details = details;
    this.headers = headers;
  }
}

/** The client has caused these, and the message is about what it has sent. */
const ABOUT_THE_REQUEST = new Map<ErrorCode, number>([
  ['ERR_BUS_INVALID_TYPE', 400],
  ['ERR_BUS_INVALID_PATTERN', 400],
  ['ERR_BUS_INVALID_DATA', 400],
  ['ERR_BUS_INVALID_EVENT', 400],
  ['ERR_BUS_EVENT_TOO_LARGE', 413],
]);

/** The message of these may name servers, users or streams: the code says enough. */
const BY_CODE = new Map<ErrorCode, number>([
  ['ERR_BUS_NO_STREAM', 422],
  ['ERR_BUS_QUEUE_FULL', 503],
  ['ERR_BUS_CLOSED', 503],
  ['ERR_BUS_SERVER_OOM', 503],
  ['ERR_BUS_SERVER_BUSY', 503],
  ['ERR_BUS_SERVER_LOADING', 503],
  ['ERR_BUS_GROUP_UNAVAILABLE', 503],
]);
const BY_CATEGORY = new Map<string, number>([
  ['connection', 503],
  ['timeout', 504],
]);

/** The problem that an error of the bus is for the client. What is our own fault is 500, with nothing but that. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!(error instanceof EventBusError)) return new Problem(500);
  const { code, category, outcome, message } = error;
  const details: ProblemDetails = { code, ...(outcome !== undefined && { outcome }) };
  const own = ABOUT_THE_REQUEST.get(code);
  if (own !== undefined) return new Problem(own, { detail: message, ...details });
  const status = BY_CODE.get(code) ?? BY_CATEGORY.get(category);
  if (status === undefined) return new Problem(500);
  return new Problem(status, details, status === 503 ? { 'retry-after': '1' } : {});
}

export function problemAnswer({ status, details, headers }: Problem): Answer {
  const title = STATUS_CODES[status] ?? 'Error';
  const body = { type: 'about:blank', title, status, ...details };
  const answer = jsonAnswer(status, JSON.stringify(body), headers);
  answer.headers['content-type'] = 'application/problem+json';
  return answer;
}
