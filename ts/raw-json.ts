/** JSON text as data: published without being written again, handed to handlers without being parsed. */

import { inspect, types } from 'node:util';

import type { RawJson as PublicRawJson } from '../index';
import { stackFromCaller } from './caller-stacks';
import { invalidAt } from './errors';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class RawJson implements PublicRawJson<unknown> {
  #text: string | undefined;
  #bytes: Uint8Array | undefined;
  /** A character for each byte: what came from the engine, until somebody asks for the bytes. It is UTF-8. */
  #octets: string | undefined;

  /** Unlike `instanceof`, this never runs code of the value. */
  static is(value: unknown): value is RawJson {
    return typeof value === 'object' && value !== null && #bytes in value;
  }

  /** Of what has come from the engine: a string with a character for each byte. */
  static received(octets: string): RawJson {
    return new RawJson(undefined, undefined, octets);
  }

  static of(given: string | Uint8Array): RawJson {
    return typeof given === 'string' ? new RawJson(given) : new RawJson(undefined, given);
  }

  /** Whether it needs not be encoded to be bytes. */
  static hasBytes(raw: RawJson): boolean {
    return raw.#bytes !== undefined || raw.#octets !== undefined;
  }

  /** Its bytes, where they were given or somebody has asked for them. */
  static bytesOf(raw: RawJson): Uint8Array | undefined {
    return raw.#bytes;
  }

  /** Its bytes as a string with a character for each, where that is what it has. */
  static octetsOf(raw: RawJson): string | undefined {
    return raw.#octets;
  }

  private constructor(text?: string, bytes?: Uint8Array, octets?: string) {
    this.#text = text;
    this.#bytes = bytes;
    this.#octets = octets;
  }

  /** Throws a TypeError for bytes that are not UTF-8. */
  get text(): string {
    if (this.#text === undefined) {
      const octets = this.#octets;
      // A byte that is not ASCII would be two in UTF-8.
      const isText = octets !== undefined && Buffer.byteLength(octets) === octets.length;
      this.#text = isText ? octets : decoder.decode(this.bytes);
    }
    return this.#text;
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) {
      this.#bytes =
        this.#octets === undefined ? Buffer.from(this.#text as string) : bytesOf(this.#octets);
      this.#octets = undefined;
    }
    return this.#bytes;
  }

  parse(): unknown {
    return JSON.parse(this.text);
  }

  toJSON(): unknown {
    return this.parse();
  }

  [inspect.custom](): string {
    return `RawJson ${this.#text ?? Buffer.from(this.#bytes ?? bytesOf(this.#octets ?? '')).toString()}`;
  }
}

/** In memory of their own: those of small buffers would keep others of the pool. */
function bytesOf(octets: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(octets.length);
  bytes.write(octets, 'latin1');
  return bytes;
}

export function rawJson(textOrBytes: string | Uint8Array): PublicRawJson {
  if (typeof textOrBytes === 'string' || types.isUint8Array(textOrBytes)) {
    return RawJson.of(textOrBytes);
  }
  const given = textOrBytes === null ? 'null' : typeof textOrBytes;
  const error = invalidAt('ERR_BUS_INVALID_DATA', 'data', `must be text or bytes, not ${given}`);
  throw stackFromCaller(error, rawJson);
}
