/** Events of the bus itself: what is read of them, and what becomes of their calls. */

import { receiveOwn } from '../../ts/handle/own-events';
import type { Settlements } from '../../ts/handle/settlements';
import { Columns, type Envelope, type OwnEvent, readEvent } from '../../ts/native/columns';
import { Settlement } from '../../ts/native/settlement';

const [TEXT, INTEGER, JSON_TEXT] = [0, 1, 6];
const word = (kind: number, value: number) => (value << 3) | kind;
const ENVELOPES: Envelope[] = [
  ['oxbus.reply', 't', 's', 'i', 7],
  ['oxbus.reply', 't', 's', 'i', 0],
];

/** Columns as the engine fills them: the words, and the strings as one chunk. */
function columnsOf(words: number[], text: string, json: unknown[]): Columns {
  const columns = new Columns([], []);
  const native = {
    takeColumns(target: Uint8Array) {
      const numbers = Int32Array.from([...words, text.length << 1]);
      target.set(new Uint8Array(numbers.buffer), 0);
      target.set(Buffer.from(text, 'latin1'), numbers.byteLength);
    },
  };
  columns.take(native, [0, words.length, text === '' ? 0 : 1, text.length]);
  columns.json = json;
  columns.envelopes = ENVELOPES;
  return columns;
}

/** With all ids and further metadata, without any of it, and as JSON. */
const WORDS = [
  ...[
    word(INTEGER, 0),
    word(TEXT, 2),
    word(TEXT, 0),
    word(TEXT, 3),
    word(JSON_TEXT, 0),
    word(TEXT, 4),
  ],
  ...[word(INTEGER, 1), word(TEXT, 2), word(INTEGER, 5)],
  word(JSON_TEXT, 0),
];
const whole = { id: 'j', type: 'oxbus.reply', data: 9, metadata: { reply: 3 } };
const columns = () => columnsOf(WORDS, 'idcaudatai2', [{ reply: 1 }, whole]);

/** Takes the events of a run, and notes what happens. */
function taken(run: Columns, count: number, receive: (event: OwnEvent) => void) {
  const settled: unknown[] = [];
  const faults: unknown[] = [];
  const settlements = {
    add: (token: number, kind: number) => settled.push([token, kind]),
  } as unknown as Settlements;
  const owner = {
    settlements,
    timers: { now: () => 0, set: () => fail(), clear: () => {} },
    faulty: (error: unknown) => faults.push(error),
  };
  const fault = receiveOwn(owner, receive, [1, 0xffff_ffff, count, 0], run);
  return { settled, faults, fault };
}

const fail = (): never => {
  throw new Error('not expected');
};

test('of an event its data and its further metadata are read, and the next one begins behind it', () => {
  const events: OwnEvent[] = [];
  const run = columns();
  expect(taken(run, 2, (event) => events.push(event))).toMatchObject({
    settled: [
      [0xffff_ffff, Settlement.succeeded],
      [0, Settlement.succeeded],
    ],
    faults: [],
    fault: undefined,
  });
  expect(events).toEqual([
    { data: 'data', metadata: { reply: 1 } },
    { data: 5, metadata: {} },
  ]);
  expect(readEvent(run)).toBe(whole);
  const read = columns();
  expect(readEvent(read)).toMatchObject({
    id: 'id',
    data: 'data',
    metadata: { causationId: 'cau' },
  });
  expect(readEvent(read)).toMatchObject({ id: 'i2', data: 5 });
  expect(taken(read, 1, (event) => expect(event).toBe(whole)).faults).toEqual([]);
});

test('a fault of the bus is told, and the others are taken all the same', () => {
  let left = 2;
  const { settled, faults } = taken(columns(), 2, () => {
    left -= 1;
    if (left === 1) throw new Error('a fault');
  });
  expect([left, settled.length]).toEqual([0, 2]);
  const message = expect.stringContaining('a fault');
  expect(faults).toMatchObject([{ code: 'ERR_BUS_INTERNAL', message }]);
});

test('what cannot be built is left to whoever deals with it, with what follows', () => {
  const run = columns();
  run.envelopes = [];
  expect(taken(run, 2, fail)).toMatchObject({ settled: [], fault: { made: 0 } });
});
