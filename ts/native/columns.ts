/** Reads what a drain brings as columns: the values of events. `crates/model/src/codec/outline/word.rs` says what words mean. */

import { RawJson } from '../raw-json';
import type { NativeClient, RawEvent } from './native';
import type { Constructor } from './shapes';

/** `[type, timestamp, source, instanceId, flags, room?]`: the members that events of a drain share. */
export type Envelope = [string, string, string, string, number, string?];

/** How many doubles, words, chunks and bytes of text there are. */
export type ColumnLengths = [doubles: number, words: number, chunks: number, text: number];

/** How many bits of a word say of which kind it is. */
const KIND_BITS = 3;
const KIND = (1 << KIND_BITS) - 1;

const TEXT = 0;
const INTEGER = 1;
const DOUBLE = 2;
const LITERAL = 3;
const OBJECT = 4;
const ARRAY = 5;
const JSON_TEXT = 6;

const NULL = 0;
const FALSE = 1;
const TRUE = 2;
const EMPTY = 3;
/** The literal that stands for the string with the number 0. */
const FIRST_KNOWN = 4;

/** Flags of an envelope: which ids precede the data of its events. */
const HAS_CORRELATION = 1;
const HAS_CAUSATION = 2;
/** Whether other members of the metadata precede it. */
const HAS_REST = 4;

/** The memory of a drain that is kept for the next one, in bytes. A drain brings more only if an event is large. */
const KEPT = 512 * 1024;
const NO_TEXT: readonly string[] = [];

/** A Buffer, with what makes strings of its parts and has no name in its types. */
interface Text {
  latin1Slice(start: number, end: number): string;
  ucs2Slice(start: number, end: number): string;
}

/** Where the next value is. Its members are read by functions of their own, which V8 compiles once for all. */
export class Columns {
  buffer = new ArrayBuffer(0);
  words = new Int32Array(0);
  doubles = new Float64Array(0);
  text = Buffer.alloc(0) as unknown as Text;
  /** The next word, double, chunk and byte of text; all of them in their own units from the start of the buffer. */
  word = 0;
  double = 0;
  chunk = 0;
  byte = 0;
  /** The chunk that strings are taken of, where the next begins, and its length. */
  part = '';
  at = 0;
  end = 0;
  json: readonly unknown[] = NO_TEXT;
  value = 0;
  raw: readonly string[] = NO_TEXT;
  envelopes: readonly Envelope[] = [];
  readonly constructors: readonly (Constructor | undefined)[];

  readonly strings: readonly string[];

  constructor(constructors: readonly (Constructor | undefined)[], strings: readonly string[]) {
    this.constructors = constructors;
    this.strings = strings;
  }

  /** Takes the columns of a drain. */
  take(native: Pick<NativeClient, 'takeColumns'>, lengths: ColumnLengths): void {
    const [doubles, words, chunks, text] = lengths;
    const size = doubles * 8 + (words + chunks) * 4 + text;
    if (this.buffer.byteLength < size) {
      // In whole doubles, and so that a slightly larger drain finds room.
      this.buffer = new ArrayBuffer(Math.max(1024, 2 ** Math.ceil(Math.log2(size))));
      this.words = new Int32Array(this.buffer);
      this.doubles = new Float64Array(this.buffer);
      this.text = Buffer.from(this.buffer) as unknown as Text;
    }
    native.takeColumns(new Uint8Array(this.buffer, 0, size));
    this.double = 0;
    this.word = doubles * 2;
    this.chunk = this.word + words;
    this.byte = (this.chunk + chunks) * 4;
    this.at = 0;
    this.end = 0;
    this.value = 0;
  }

  /** Lets go of what only this drain needs. */
  release(): void {
    this.json = NO_TEXT;
    this.raw = NO_TEXT;
    this.envelopes = [];
    this.part = '';
    if (this.buffer.byteLength <= KEPT) return;
    this.buffer = new ArrayBuffer(0);
    this.words = new Int32Array(0);
    this.doubles = new Float64Array(0);
    this.text = Buffer.alloc(0) as unknown as Text;
  }
}

/** The next value. */
export function read(columns: Columns): unknown {
  return valueBy(columns, columns.words[columns.word++] as number);
}

function valueBy(columns: Columns, word: number): unknown {
  switch (word & KIND) {
    case TEXT:
      return stringOf(columns, word >>> KIND_BITS);
    case INTEGER:
      return word >> KIND_BITS;
    case LITERAL:
      return literalOf(columns, word >> KIND_BITS);
    case DOUBLE:
      return columns.doubles[columns.double++];
    case OBJECT: {
      const made = columns.constructors[word >>> KIND_BITS] as Constructor;
      return made.build(membersOf(columns, made.count));
    }
    case ARRAY:
      return arrayOf(columns, word >>> KIND_BITS);
    case JSON_TEXT:
      return columns.json[columns.value++];
    default:
      return RawJson.received(columns.raw[read(columns) as number] as string);
  }
}

function literalOf(columns: Columns, literal: number): unknown {
  switch (literal) {
    case NULL:
      return null;
    case FALSE:
      return false;
    case TRUE:
      return true;
    case EMPTY:
      return {};
    default:
      return columns.strings[literal - FIRST_KNOWN];
  }
}

/** The values of an object. Without the array growing; an array with holes is no fit for users. */
function membersOf(columns: Columns, count: number): unknown[] {
  const values = new Array<unknown>(count);
  for (let index = 0; index < count; index += 1) {
    values[index] = valueBy(columns, columns.words[columns.word++] as number);
  }
  return values;
}

function arrayOf(columns: Columns, count: number): unknown[] {
  const values: unknown[] = [];
  for (let index = 0; index < count; index += 1) values.push(read(columns));
  return values;
}

function stringOf(columns: Columns, length: number): string {
  if (length === 0) return '';
  if (columns.at === columns.end) nextChunk(columns);
  const start = columns.at;
  columns.at = start + length;
  return columns.part.substring(start, columns.at);
}

/** One call that copies several strings: `chunk.rs` says which. */
function nextChunk(columns: Columns): void {
  const chunk = columns.words[columns.chunk++] as number;
  const length = chunk >>> 1;
  const start = columns.byte;
  if ((chunk & 1) === 0) {
    columns.byte = start + length;
    columns.part = columns.text.latin1Slice(start, columns.byte);
  } else {
    columns.byte = start + 2 * length;
    columns.part = columns.text.ucs2Slice(start, columns.byte);
  }
  columns.at = 0;
  columns.end = length;
}

/** The message id before a durable event. */
export function readMessageId(columns: Columns): string {
  return read(columns) as string;
}

/** The next event. */
export function readEvent(columns: Columns): RawEvent {
  const word = columns.words[columns.word++] as number;
  if ((word & KIND) === JSON_TEXT) return valueBy(columns, word) as RawEvent;
  const number = word >> KIND_BITS;
  if (number < 0) {
    const event = read(columns) as RawEvent;
    event.data = read(columns);
    return event;
  }
  const envelope = columns.envelopes[number] as Envelope;
  const flags = envelope[4];
  const id = read(columns) as string;
  const metadata: RawEvent['metadata'] = {
    timestamp: envelope[1],
    source: envelope[2],
    instanceId: envelope[3],
    correlationId: (flags & HAS_CORRELATION) === 0 ? id : (read(columns) as string),
  };
  if ((flags & HAS_CAUSATION) !== 0) metadata.causationId = read(columns);
  if (envelope[5] !== undefined) metadata.room = envelope[5];
  if ((flags & HAS_REST) !== 0) Object.assign(metadata, read(columns));
  return { id, type: envelope[0], data: read(columns), metadata };
}

/** What the bus reads of an event of its own: its data, and the metadata that is no part of every event. */
export interface OwnEvent {
  readonly data: unknown;
  readonly metadata: Record<string, unknown>;
}

/** The next event, of which no more is made than the bus itself reads. */
export function readOwnEvent(columns: Columns): OwnEvent {
  const word = columns.words[columns.word] as number;
  const number = word >> KIND_BITS;
  if ((word & KIND) === JSON_TEXT || number < 0) return readEvent(columns);
  columns.word += 1;
  const flags = (columns.envelopes[number] as Envelope)[4];
  skipText(columns);
  if ((flags & HAS_CORRELATION) !== 0) skipText(columns);
  if ((flags & HAS_CAUSATION) !== 0) skipText(columns);
  const metadata = (flags & HAS_REST) === 0 ? NO_METADATA : read(columns);
  return { data: read(columns), metadata: metadata as OwnEvent['metadata'] };
}

const NO_METADATA: OwnEvent['metadata'] = Object.freeze({});

/** Passes over the next value, a string, without making it. */
function skipText(columns: Columns): void {
  const length = (columns.words[columns.word++] as number) >>> KIND_BITS;
  if (length === 0) return;
  if (columns.at === columns.end) nextChunk(columns);
  columns.at += length;
}
