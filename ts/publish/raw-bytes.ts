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
  /** Whether any were added, be it none. */
  isUsed = false;

  /** Copies bytes behind the others. Returns the data line that stands for them. Throws a TypeError for detached ones. */
  add(bytes: Uint8Array): string {
    const length = lengthOf.call(bytes);
    const needed = this.length + length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(ROOM, needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.length);
    this.length = needed;
    this.isUsed = true;
    return `\u0001${length}`;
  }

  /** All of them. They are valid until others are added. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.length);
    this.length = 0;
    this.isUsed = false;
    if (this.#bytes.length > MAX_ROOM) this.#bytes = new Uint8Array(0);
    return taken;
  }
}
