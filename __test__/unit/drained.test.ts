/** Drains of which one begins while the events of another one are handed out. */

import { type Columns, readEvent } from '../../ts/native/columns';
import { type Drained, type DrainSinks, Drains } from '../../ts/native/drained';

const INTEGER = 1;
const OBJECT = 4;
const JSON_TEXT = 6;
/** Data follows apart from the rest of its event. */
const APART = (-1 << 3) | INTEGER;

/** A drain of events whose data is `{ text }`, of shape 0, as the engine hands it over. */
function drainOf(texts: string[], more: Drained = {}): [text: string, columns: Uint8Array] {
  const events = texts.map((_, index) => ({ id: `e${index}`, type: 't', data: 0, metadata: {} }));
  const words = texts.flatMap(({ length }) => [APART, JSON_TEXT, OBJECT, length << 3]);
  const all = texts.join('');
  const columns = Buffer.concat([
    Buffer.from(Int32Array.from([...words, all.length << 1]).buffer),
    Buffer.from(all),
  ]);
  const drained = {
    ...more,
    deliveries: [[1, 1, texts.length, 0]],
    columns: [0, words.length, 1, all.length],
    json: events,
  };
  return [JSON.stringify(drained), columns];
}

function open(drains: [text: string, columns: Uint8Array][], handle: (data: any) => void) {
  let columns: Uint8Array = new Uint8Array(0);
  const native = {
    drain: () => {
      const [text, next] = drains.shift() ?? ['', columns];
      columns = next;
      return text;
    },
    takeColumns: (target: Uint8Array) => target.set(columns),
    takeRaw: () => [],
  };
  const nothing = () => {};
  const sinks = {
    publisher: { resumeCallers: nothing },
    dispatcher: {
      deliver: (runs: [number, number, number, 0][], from: Columns) => {
        for (const [, , count] of runs) {
          for (let index = 0; index < count; index += 1) handle(readEvent(from).data);
        }
      },
    },
  };
  return new Drains(native, sinks as unknown as DrainSinks);
}

const SHAPE: Drained = { shapes: [[0, ['text']]] };

test('each of them reads its own events', () => {
  const seen: string[] = [];
  const drains = open(
    [drainOf(['a1', 'a2', 'a3'], SHAPE), drainOf(['b1', 'b2']), drainOf(['c1'])],
    ({ text }) => {
      seen.push(text);
      if (text.endsWith('1')) drains.take();
    },
  );
  expect(drains.take()).toBe(true);
  expect(seen).toEqual(['a1', 'b1', 'c1', 'b2', 'a2', 'a3']);
  expect(drains.take()).toBe(false);
});

test('one that fails leaves nothing to the next one', () => {
  const seen: string[] = [];
  const drains = open([drainOf(['bad', 'x'], SHAPE), drainOf(['good', 'too'])], ({ text }) => {
    if (text === 'bad') throw new Error('a fault');
    seen.push(text);
  });
  expect(() => drains.take()).toThrow('a fault');
  drains.take();
  expect(seen).toEqual(['good', 'too']);
});
