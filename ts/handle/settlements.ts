/** How handler calls ended, gathered as numbers that cross together. */

import { describe } from '../errors';
import type { NativeClient } from '../native/native';
import { nextTick } from '../runtime/clock';

/** Settlements that cross together; more than fit are sent in between. */
const CAPACITY = 1024;
const FIELDS = 4;
const MAX_U32 = 0xffff_ffff;

/** What is kept of an error, in bytes. */
const MAX_NAME = 256;
const MAX_MESSAGE = 4096;
const MAX_STACK = 16_384;

export class Settlements {
  readonly #native: NativeClient;
  readonly #records = new Uint32Array(CAPACITY * FIELDS);
  #count = 0;
  #flushing = false;
  #closed = false;

  constructor(native: NativeClient) {
    this.#native = native;
  }

  /** Ends a call; `duration` in ms. */
  add(token: number, kind: number, duration: number, argument: number): void {
    if (this.#closed) return;
    const at = this.#count * FIELDS;
    this.#records[at] = token;
    this.#records[at + 1] = kind;
    this.#records[at + 2] = unsigned(duration * 1000);
    this.#records[at + 3] = argument;
    this.#count += 1;
    if (this.#count === CAPACITY) {
      this.flush();
    } else if (!this.#flushing) {
      this.#flushing = true;
      nextTick(this.#flushLater);
    }
  }

  /** Says, before a failed durable call is ended, what a dead letter of it is to tell. */
  explain(token: number, thrown: unknown): void {
    if (!this.#closed) this.#native.explain(token, explanation(thrown));
  }

  flush(): void {
    if (this.#count === 0 || this.#closed) return;
    this.#native.settle(this.#records, this.#count);
    this.#count = 0;
  }

  /** Ends no call any more. */
  close(): void {
    this.#closed = true;
  }

  readonly #flushLater = (): void => {
    this.#flushing = false;
    this.flush();
  };
}

/** A number as the engine takes it: whole, from 0, of 32 bits. */
export function unsigned(value: number): number {
  return value > 0 ? Math.min(Math.round(value), MAX_U32) : 0;
}

/** Whatever was thrown, as the JSON of an error of bounded size. */
function explanation(thrown: unknown): string {
  const code = member(thrown, 'code');
  const stack = member(thrown, 'stack');
  const name = member(thrown, 'name');
  return JSON.stringify({
    name: typeof name === 'string' && name !== '' ? cut(name, MAX_NAME) : 'Error',
    message: cut(describe(thrown), MAX_MESSAGE),
    ...(typeof stack === 'string' && { stack: cut(stack, MAX_STACK) }),
    ...((typeof code === 'string' || typeof code === 'number') && {
      code: cut(String(code), MAX_NAME),
    }),
  });
}

/** A member of what may be anything; reading it may throw. */
function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** The beginning of a text as so many bytes of valid UTF-8: JSON would write half a character as it is. */
function cut(text: string, bytes: number): string {
  const encoded = Buffer.from(text.slice(0, bytes));
  if (encoded.length <= bytes) return encoded.toString();
  let end = bytes;
  // Back to the beginning of the character that does not fit.
  while (end > 0 && ((encoded[end] as number) & 0xc0) === 0x80) end -= 1;
  return encoded.toString('utf8', 0, end);
}
