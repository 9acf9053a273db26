/** `replay()` with a handler, against a fake of the native module. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import { EventBusClient } from '../../ts/index';
import { event, fail, quiet, tick } from '../support/durable-events';

let bus: EventBusClient;
let client: FakeClient;

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
  client = controls.clients.at(-1)!;
});

afterEach(() => bus.disconnect());

describe('replay', () => {
  const page = (numbers: number[], rest: object = {}) => ({
    events: numbers.map((n) => ({ id: `${n}-0`, stream: 's', event: JSON.stringify(event(n)) })),
    last: numbers.length === 0 ? null : `cursor ${numbers.at(-1)}`,
    truncated: false,
    done: false,
    undecodable: 0,
    ...rest,
  });

  test('goes through the pages one event after the other', async () => {
    const pages = [
      page([1, 2], { truncated: true }),
      page([], { last: 'cursor x', undecodable: 1 }),
      page([3, 4], { done: true }),
    ];
    controls.answers['replay.page'] = () => pages.shift();
    const seen: unknown[] = [];
    let running = 0;
    const result = await bus.replay({
      pattern: 'a*',
      from: new Date(5),
      async handler(event, ctx) {
        expect(++running).toBe(1);
        await tick();
        running -= 1;
        const { stream, messageId, attempt, pattern, channel } = ctx;
        seen.push([event.data, stream, messageId, attempt, pattern, channel]);
        if (event.data === 2) fail(new Error('no'));
      },
    });
    expect(result).toEqual({
      replayed: 3,
      failed: 2,
      truncated: true,
      firstId: '1-0',
      lastId: '4-0',
    });
    expect(seen[0]).toEqual([1, 's', '1-0', 1, 'a*', 'a']);
    const asked = controls.requests.map(([, { after, from }]) => [after, from]);
    expect(asked).toEqual([
      [undefined, 5],
      ['cursor 2', 5],
      ['cursor x', 5],
    ]);
    expect(controls.settled).toEqual([]);
  });

  test('stops at its limit', async () => {
    controls.answers['replay.page'] = ({ limit }) => page([1, 2, 3].slice(0, limit));
    const handler = jest.fn();
    expect(await bus.replay({ stream: 's', limit: 4, handler })).toMatchObject({ replayed: 4 });
    expect(controls.requests.map(([, { limit }]) => limit)).toEqual([4, 1]);
  });

  test('stops when its signal aborts, which its handler sees', async () => {
    controls.answers['replay.page'] = () => page([1, 2]);
    const abort = new AbortController();
    const handler = jest.fn(async (_: unknown, { signal }: { signal: AbortSignal }) => {
      abort.abort(new Error('why'));
      expect(signal.aborted).toBe(true);
    });
    const call = bus.replay({ stream: 's', handler, signal: abort.signal });
    const error = await call.catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_BUS_ABORTED', cause: { message: 'why' } });
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test('stops when the client ends', async () => {
    controls.answers['replay.page'] = () => page([1, 2]);
    const handler = jest.fn(async (_: unknown, { signal }: { signal: AbortSignal }) => {
      void bus.disconnect();
      expect(signal.aborted).toBe(true);
    });
    const call = bus.replay({ stream: 's', handler });
    await expect(call).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test('events that its handler publishes inherit from the replayed one', async () => {
    controls.answers['replay.page'] = () => page([1], { done: true });
    await bus.replay({
      stream: 's',
      async handler() {
        await tick();
        await bus.publish('b', 1);
      },
    });
    const [, options] = client.records[0]!.split('\n');
    expect(JSON.parse(options!)).toEqual({ correlationId: 'c', causationId: 'e1' });
  });
});
