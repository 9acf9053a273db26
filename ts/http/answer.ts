/** What a route answers, before a kind of server gives it its form. */

/** Where the texts of a stream go: one connection. */
export interface StreamSink {
  write(chunk: Uint8Array): void;
  /** Bytes that were written and have not left yet. */
  pending(): number;
  /** Resolves when few bytes are pending, or the connection has closed. */
  drained(): Promise<void>;
  /** Ends the answer; what is pending still goes. */
  end(): void;
  /** Closes the connection, and forgets what is pending. */
  destroy(): void;
}

/** The part of an answer that goes on. */
export interface OpenStream {
  /** Called once the headers are written. */
  open(sink: StreamSink): void;
  /** Called once the connection has closed, also if it was never opened. */
  closed(): void;
}

export interface Answer {
  status: number;
  /** Names are in lower case. */
  headers: Record<string, string>;
  body: string;
  stream?: OpenStream;
  /** Whether the connection cannot be used again, as the rest of its request is not read. */
  close?: boolean;
}

export function textAnswer(status: number, type: string, body: string): Answer {
  return { status, headers: { 'content-type': type, 'cache-control': 'no-store' }, body };
}

export function jsonAnswer(
  status: number,
  json: string,
  headers: Record<string, string> = {},
): Answer {
  const answer = textAnswer(status, 'application/json', json);
  Object.assign(answer.headers, headers);
  return answer;
}
