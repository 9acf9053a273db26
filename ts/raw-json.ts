/** JSON text as data: published without being written again, handed to handlers without being parsed. */

import { inspect, types } from 'node:util';

import type { RawJson as PublicRawJson } from '../index';
import { stackFromCaller } from './caller-stacks';
import { invalidAt } from './errors';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class RawJson implements PublicRawJson<unknown> {
  #text: string | undefined;
  #bytes: Uint8Array | undefined;

  /** Unlike `instanceof`, this never runs code of the value. */
  static is(value: unknown): value is RawJson {
    return typeof value === 'object' && value !== null && #bytes in value;
  }

  /** Its bytes, where they were given or somebody has asked for them. */
  static bytesOf(raw: RawJson): Uint8Array | undefined {
    return raw.#bytes;
  }

  constructor(given: string | Uint8Array) {
    if (typeof given === 'string') this.#text = given;
    else this.#bytes = given;
  }

  /** Throws a TypeError for bytes that are not UTF-8. */
  get text(): string {
    this.#text ??= decoder.decode(this.#bytes);
    return this.#text;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= Buffer.from(this.text);
    return this.#bytes;
  }

  parse(): unknown {
    return JSON.parse(this.text);
  }

  toJSON(): unknown {
    return this.parse();
  }

  [inspect.custom](): string {
    return `RawJson ${this.#text ?? Buffer.from(this.bytes).toString()}`;
  }
}

export function rawJson(textOrBytes: string | Uint8Array): PublicRawJson {
  if (typeof textOrBytes === 'string' || types.isUint8Array(textOrBytes)) {
    return new RawJson(textOrBytes);
  }
  const given = textOrBytes === null ? 'null' : typeof textOrBytes;
  const error = invalidAt('ERR_BUS_INVALID_DATA', 'data', `must be text or bytes, not ${given}`);
  throw stackFromCaller(error, rawJson);
}

/** Data of what a drain has handed on as text. It has these bytes for itself. */
export function rawOf(bytes: Uint8Array, start: number, length: number): RawJson {
  return new RawJson(Uint8Array.prototype.slice.call(bytes, start, start + length));
}
