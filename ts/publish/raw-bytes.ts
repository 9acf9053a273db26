/** Data that crosses to the engine as bytes, beside the records of its batch. */

/** Room for a batch as it is usually handed over: when it has 64 KiB, with the event that was too much. */
const ROOM = 128 * 1024;
/** Room beyond this is not kept. */
const MAX_ROOM = 1024 * 1024;

/** The length, which a subclass may say otherwise. */
const { get: lengthOf } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  'length',
) as { get(this: Uint8Array): number };

export class RawBytes {
  #bytes = new Uint8Array(0);
  length = 0;

  /** Copies bytes behind the others. Returns the data line that stands for them; undefined for none, or detached ones. */
  add(bytes: Uint8Array): string | undefined {
    const length = lengthOf.call(bytes);
    if (length === 0) return undefined;
    const needed = this.length + length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(ROOM, needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.length);
    this.length = needed;
    return `\u0001${length}`;
  }

  /** All of them. They are valid until others are added. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.length);
    this.length = 0;
    if (this.#bytes.length > MAX_ROOM) this.#bytes = new Uint8Array(0);
    return taken;
  }
}
