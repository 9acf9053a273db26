/** The outcomes of handler calls, gathered as numbers that cross together. */

import { describe, member } from '../errors';
import type { NativeClient } from '../native/native';
import { nextTick } from '../runtime/clock';

/** So many settlements cross together at the most; a full buffer is sent at once. */
const CAPACITY = 1024;
const FIELDS = 4;
const MAX_U32 = 0xffff_ffff;

/** So many bytes of an error are kept. */
const MAX_NAME = 256;
const MAX_MESSAGE = 4096;
const MAX_STACK = 16_384;

/**
 * Thrown by a handler of the bus itself: the event was not handled. A live event then counts as dropped, a durable one
 * goes back to its group.
 */
export const NOT_HANDLED = Symbol('not handled');

export class Settlements {
  readonly #native: NativeClient;
  readonly #records = new Uint32Array(CAPACITY * FIELDS);
  #count = 0;
  #flushing = false;
  #closed = false;

  constructor(native: NativeClient) {
    this.#native = native;
  }

  /** Settles a call. `duration` is in ms. */
  add(token: number, kind: number, duration: number, argument: number): void {
    if (this.#closed) return;
    const at = this.#count * FIELDS;
    this.#records[at] = token;
    this.#records[at + 1] = kind;
    this.#records[at + 2] = toUint32(duration * 1000);
    this.#records[at + 3] = argument;
    this.#count += 1;
    if (this.#count === CAPACITY) {
      this.flush();
    } else if (!this.#flushing) {
      this.#flushing = true;
      nextTick(this.#flushLater);
    }
  }

  /** Sets the error that a dead letter of this durable call would show. It must come before the call's settlement. */
  setError(token: number, thrown: unknown): void {
    if (!this.#closed) this.#native.setError(token, errorJson(thrown));
  }

  flush(): void {
    if (this.#count === 0 || this.#closed) return;
    this.#native.settle(this.#records, this.#count);
    this.#count = 0;
  }

  /** Settles no call any more. */
  close(): void {
    this.#closed = true;
  }

  readonly #flushLater = (): void => {
    this.#flushing = false;
    this.flush();
  };
}

/** The nearest integer that fits in 32 bits without a sign; 0 for NaN. */
export function toUint32(value: number): number {
  return value > 0 ? Math.min(Math.round(value), MAX_U32) : 0;
}

/** Whatever was thrown, as the JSON of an error of bounded size. */
function errorJson(thrown: unknown): string {
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

/** The beginning of a text, at most so many bytes of valid UTF-8: JSON would write half a character as it is. */
function cut(text: string, bytes: number): string {
  const encoded = Buffer.from(text.slice(0, bytes));
  if (encoded.length <= bytes) return encoded.toString();
  let end = bytes;
  // A byte 10xxxxxx continues a character: the cut goes back to where that character begins.
  while (end > 0 && ((encoded[end] as number) & 0xc0) === 0x80) end -= 1;
  return encoded.toString('utf8', 0, end);
}
