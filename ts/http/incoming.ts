/** A request as the routes see it, whatever kind of server has taken it. */

import type { HttpRequest } from '../../http';

/** A body: its bytes, or what a parser before the handler has made of it. */
export type Body = { bytes: Uint8Array } | { parsed: unknown };

export interface Incoming {
  readonly method: string;
  /** Without the query, and as the client has sent it: no route has a character that would be escaped. */
  readonly path: string;
  readonly query: URLSearchParams;
  header(name: string): string | undefined;
  /** For `authorize`; made when it is first asked for. */
  publicRequest(): HttpRequest;
  /** Reads `limit` bytes at the most, in `timeout` ms. Throws a problem. */
  readBody(limit: number, timeout: number): Promise<Body>;
}

/** A target of a request, such as `/stream?pattern=a`, in its parts. */
export function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  return { path, query: new URLSearchParams(at < 0 ? '' : target.slice(at + 1)) };
}

/** A header that a client of today sends as UTF-8, of which servers make a character for each byte. */
export function utf8Header(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}
