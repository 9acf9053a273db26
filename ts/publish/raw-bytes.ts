/** Data that crosses to the engine as bytes, beside the records of its batch. */

import { RawJson } from '../raw-json';

/** Room for a batch of a few events. It doubles where a batch needs more. */
const ROOM = 64 * 1024;
/** Room beyond this is not kept. */
const MAX_ROOM = 1024 * 1024;

/** The length, which a subclass may say otherwise. */
const { get: lengthOf } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  'length',
) as { get(this: Uint8Array): number };

export class RawBytes {
  #bytes = Buffer.alloc(0);
  length = 0;

  /**
   * Copies the bytes of data behind the others. Returns the data line that stands for them; undefined where there are none, or
   * detached ones.
   */
  add(data: RawJson): string | undefined {
    const bytes = RawJson.bytesOf(data);
    const octets = bytes === undefined ? (RawJson.octetsOf(data) ?? '') : undefined;
    const length = octets?.length ?? lengthOf.call(bytes as Uint8Array);
    if (length === 0) return undefined;
    const needed = this.length + length;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(ROOM, needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    if (octets === undefined) this.#bytes.set(bytes as Uint8Array, this.length);
    else this.#bytes.write(octets, this.length, 'latin1');
    this.length = needed;
    return `\u0001${length}`;
  }

  /** All of them. They are valid until others are added. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.length);
    this.length = 0;
    if (this.#bytes.length > MAX_ROOM) this.#bytes = Buffer.alloc(0);
    return taken;
  }
}
