/** Answers with events: what comes for them in a drain, beside events for handlers. */

import { type Columns, readEvent } from '../../ts/native/columns';
import { type Drained, type DrainSinks, Drains } from '../../ts/native/drained';

const INTEGER = 1;
const OBJECT = 4;
const JSON_TEXT = 6;
/** Data follows apart from the rest of its event. */
const APART = (-1 << 3) | INTEGER;

/** An event with `{ text }` as its data, of shape 0. */
const wordsOf = (text: string) => [APART, JSON_TEXT, OBJECT, text.length << 3];
/** One whose data has a shape that nobody was told of: it cannot be built. */
const UNKNOWN = [APART, JSON_TEXT, (7 << 3) | OBJECT];

interface Setup {
  replies?: Drained['replies'];
  /** The texts of all events, those of answers first; null for one that cannot be built. */
  texts: (string | null)[];
  /** How many of them are for handlers. */
  delivered?: number;
  /** Whether the columns can be had. */
  fails?: boolean;
  more?: Drained;
}

/** Takes one drain. Returns what came of it, in its order. */
function take({ replies, texts, delivered = 0, fails = false, more }: Setup): unknown[] {
  const words = texts.flatMap((text) => (text === null ? UNKNOWN : wordsOf(text)));
  const text = texts.join('');
  const columns = Buffer.concat([
    Buffer.from(Int32Array.from([...words, text.length << 1]).buffer),
    Buffer.from(text),
  ]);
  const drained: Drained = {
    ...more,
    ...(replies && { replies }),
    ...(delivered > 0 && { deliveries: [[1, 1, delivered, 0]] }),
    ...(texts.length > 0 && { columns: [0, words.length, 1, text.length] }),
    shapes: [[0, ['text']]],
    json: texts.map((_, index) => ({ id: `e${index}`, type: 't', data: 0, metadata: {} })),
  };
  let drain = JSON.stringify(drained);
  const native = {
    drain: () => {
      const now = drain;
      drain = '';
      return now;
    },
    takeColumns: (target: Uint8Array) => {
      if (fails) throw new RangeError('no memory');
      target.set(columns);
    },
    takeRaw: () => [],
  };
  const seen: unknown[] = [];
  const sinks = {
    publisher: {
      resumeCallers: () => {},
      published: (run: unknown) => seen.push(['published', run]),
    },
    requests: {
      resolve: (ticket: number, value: any) => {
        const texts = value?.events?.map(({ data }: any) => data.text);
        seen.push(['answer', ticket, texts === undefined ? value : [value.value, ...texts]]);
      },
      reject: (ticket: number, { code, message, cause }: any) =>
        seen.push(['refused', ticket, code, message, cause?.name]),
    },
    notices: { announce: ({ event }: any) => seen.push(['notice', event]) },
    dispatcher: {
      deliver: (runs: [number, number, number, 0][], from: Columns) => {
        for (const [, , count] of runs) {
          for (let left = count; left > 0; left -= 1) {
            seen.push(['handled', (readEvent(from) as any).data.text]);
          }
        }
      },
      fail: (runs: unknown, error: unknown) => seen.push(['failed', runs, (error as Error).name]),
    },
  };
  const drains = new Drains(native, sinks as unknown as DrainSinks);
  expect(drains.take()).toBe(true);
  expect(drains.take()).toBe(false);
  return seen;
}

test('events of answers come before those for handlers, each to its own', () => {
  const replies: Drained['replies'] = [
    [1, 'first', 2],
    [2, 'plain'],
    [3, 'none', 0],
    [4, 'last', 1],
  ];
  expect(take({ replies, texts: ['a', 'b', 'c', 'd', 'e'], delivered: 2 })).toEqual([
    ['answer', 1, ['first', 'a', 'b']],
    ['answer', 2, 'plain'],
    ['answer', 3, ['none']],
    ['answer', 4, ['last', 'c']],
    ['handled', 'd'],
    ['handled', 'e'],
  ]);
});

test('a drain may bring nothing but an answer, with events or without', () => {
  expect(take({ replies: [[1, null, 1]], texts: ['a'] })).toEqual([['answer', 1, [null, 'a']]]);
  expect(take({ replies: [[1, null, 0]], texts: [] })).toEqual([['answer', 1, [null]]]);
});

const UNBUILT = 'the events of an answer could not be built: ';

test('where the columns cannot be had, answers with events are refused and nothing else is lost', () => {
  const replies: Drained['replies'] = [
    [1, 'first', 1],
    [2, 'plain'],
    [3, 'none', 0],
  ];
  const more: Drained = { published: [[1, 0, 't']], notices: [{ event: 'ready' }] };
  expect(take({ replies, texts: ['a', 'b'], delivered: 1, fails: true, more })).toEqual([
    ['published', [1, 0, 't']],
    ['refused', 1, 'ERR_BUS_INTERNAL', `${UNBUILT}no memory`, 'RangeError'],
    ['answer', 2, 'plain'],
    ['answer', 3, ['none']],
    ['notice', 'ready'],
    ['failed', [[1, 1, 1, 0]], 'RangeError'],
  ]);
  expect(take({ replies: [[1, null, 1]], texts: ['a'], fails: true })).toHaveLength(1);
});

test('from an event on that cannot be built, nothing is taken for another one', () => {
  const replies: Drained['replies'] = [
    [1, 'whole', 1],
    [2, 'torn', 2],
    [3, 'behind', 1],
  ];
  const seen = take({ replies, texts: ['a', 'b', null, 'd', 'e'], delivered: 1 });
  expect(seen).toEqual([
    ['answer', 1, ['whole', 'a']],
    ['refused', 2, 'ERR_BUS_INTERNAL', expect.stringContaining(UNBUILT), 'TypeError'],
    ['refused', 3, 'ERR_BUS_INTERNAL', expect.stringContaining(UNBUILT), 'TypeError'],
    ['failed', [[1, 1, 1, 0]], 'TypeError'],
  ]);
});
