/** The hooks around publishes and handler calls, against a fake of the native module. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import type { PublishResult } from '../../index';
import { ClientEnvironment } from '../../ts/client/environment';
import { handledEvent } from '../../ts/handle/current-event';
import { EventBusClient, EventBusError, NonRetryableError } from '../../ts/index';
import type {
  HandlerCall,
  HandlerOutcome,
  Instrumentation,
  OpenPublish,
  TraceContext,
} from '../../ts/instrumentation';
import { Settlement } from '../../ts/native/settlement';
import { event, fail, kinds, quiet, tick } from '../support/durable-events';

let bus: EventBusClient;
let client: FakeClient;
let ended: [HandlerCall, HandlerOutcome][];
let handled: HandlerCall[];

/** Tells what has become of a publish. */
const watchedPublish = (
  trace?: TraceContext,
  told: (result: PublishResult | undefined, error?: unknown) => void = () => {},
): OpenPublish => ({
  trace,
  succeeded: (result) => told(result),
  failed: (error) => told(undefined, error),
});

/** Hooks that only watch; a test replaces the ones that it looks at. */
function watching(own: Partial<Instrumentation> = {}): Instrumentation {
  return {
    publish: () => watchedPublish(),
    handle: (call, run) => {
      handled.push(call);
      return run();
    },
    handled: (call, outcome) => ended.push([call, outcome]),
    ...own,
  };
}

function open(instrumentation: Instrumentation | undefined, config: object = {}): void {
  const environment = new ClientEnvironment({ instrumentation });
  bus = new EventBusClient({ logger: quiet, ...config }, environment);
  client = controls.clients.at(-1)!;
}

beforeEach(() => {
  reset();
  ended = [];
  handled = [];
});

afterEach(() => bus.disconnect());

const outcomes = () => ended.map(([, outcome]) => outcome);
const optionsOf = (record: number) => JSON.parse(client.records[record]!.split('\n')[1] || '{}');
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('publish', () => {
  test('its hook sees the call and the result, and its trace context goes along', async () => {
    const seen: unknown[] = [];
    const publish: Instrumentation['publish'] = (call) => {
      seen.push({ ...call });
      const trace = { traceparent: TRACE, tracestate: 'a=1' };
      return watchedPublish(trace, (result) => seen.push(result?.eventId));
    };
    open(watching({ publish }));
    const options = { userId: 'u' };
    const result = await bus.publish('a', { n: 1 }, options);
    expect(seen).toEqual([{ type: 'a', data: { n: 1 }, options, to: undefined }, result.eventId]);
    expect(optionsOf(0)).toEqual({ userId: 'u', traceparent: TRACE, tracestate: 'a=1' });
    expect(options).toEqual({ userId: 'u' });
  });

  test('a trace context that the caller gives comes before it', async () => {
    open(watching({ publish: () => watchedPublish({ traceparent: TRACE, tracestate: 'a=1' }) }));
    await bus.publish('a', 1, { traceparent: 'own' });
    await bus.publish('a', 1);
    expect(optionsOf(0)).toEqual({ traceparent: 'own', tracestate: 'a=1' });
    expect(optionsOf(1)).toEqual({ traceparent: TRACE, tracestate: 'a=1' });
  });

  test('every way to publish goes through it once', async () => {
    const seen: unknown[] = [];
    const publish: Instrumentation['publish'] = ({ type, to }) => {
      seen.push([type, to]);
      return watchedPublish();
    };
    open(watching({ publish }));
    await bus.broadcast('b', 1);
    await bus.publishToUser('u1', 'u', 1);
    await bus.publishToRoom('r1', 'r', 1, { except: ['m'] });
    const results = await bus.publishBatch([
      { type: 'x', data: 1 },
      { type: 'y', data: 2 },
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    expect(seen).toEqual([
      ['b', 'broadcast'],
      ['u', { user: 'u1' }],
      ['r', { room: 'r1', except: ['m'] }],
      ['x', undefined],
      ['y', undefined],
    ]);
  });

  test('errors of the bus are told to it, and start at the caller', async () => {
    const seen: unknown[] = [];
    const publish = () => watchedPublish(undefined, (_, error) => seen.push(error));
    open(watching({ publish }));
    controls.failures = [{ code: 'ERR_BUS_CONNECTION_LOST', message: 'gone', outcome: 'unknown' }];
    async function caller(data: unknown) {
      await bus.publish('a', data);
    }
    for (const data of [1, 1n]) {
      const error = await caller(data).then(fail, (thrown) => thrown);
      expect(error).toBeInstanceOf(EventBusError);
      expect(seen.at(-1)).toBe(error);
      expect(error.stack.split('\n')[1]).toContain('instrumentation.test.ts');
    }
  });

  test('a hook that throws before a publish fails that call alone', async () => {
    let first = true;
    const publish: Instrumentation['publish'] = () => {
      if (!first) return watchedPublish();
      first = false;
      return fail(new Error('hook'));
    };
    open(watching({ publish }));
    await expect(bus.publish('a', 1)).rejects.toThrow('hook');
    await expect(bus.publish('a', 1)).resolves.toMatchObject({ type: 'a' });
  });

  test('a hook that throws after a publish changes nothing of it, and is told', async () => {
    const error = jest.fn();
    const failing = () => fail(new Error('hook'));
    const publish = () => watchedPublish(undefined, failing);
    open(watching({ publish }), { logger: { ...quiet, error } });
    await expect(bus.publish('a', 1)).resolves.toMatchObject({ type: 'a' });
    await expect(bus.publish('a', 1n)).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_DATA' });
    expect(error).toHaveBeenCalledTimes(2);
  });
});

describe('handle', () => {
  test('its hook sees the call, and runs around the handler', async () => {
    const order: unknown[] = [];
    const handle: Instrumentation['handle'] = async (call, run) => {
      order.push('before');
      const result = await run();
      order.push(result);
      handled.push(call);
      return result;
    };
    open(watching({ handle }));
    let ctx: unknown;
    await bus.subscribe('a', async (_, context) => {
      ctx = context;
      order.push('handler');
      return 'result';
    });
    await bus.publish('a', 5);
    await tick();
    expect(order).toEqual(['before', 'handler', 'result']);
    expect(handled).toHaveLength(1);
    expect(handled[0]).toMatchObject({ group: undefined, isIterator: false });
    expect(handled[0]?.event).toMatchObject({ type: 'a', data: 5 });
    expect(handled[0]?.context).toBe(ctx);
    expect(handled[0]?.context).toMatchObject({ pattern: 'a', channel: 'a', attempt: 1 });
    expect(ended).toEqual([[handled[0], { status: 'succeeded' }]]);
  });

  test('a durable call tells its group, its attempt and its place; a batch is one call', async () => {
    open(watching());
    await bus.subscribe('a', () => {}, { group: 'g' });
    client.entries('g', [['1-0', event(1)]], { attempt: 3 } as object);
    await tick();
    await bus.subscribe('a', () => {}, { group: 'h', batch: { size: 2 } });
    const entries: [string, object][] = [
      ['2-0', event(2)],
      ['3-0', event(3)],
    ];
    client.entries('h', entries, { batch: 2 });
    await tick();
    expect(handled).toMatchObject([
      { group: 'g', event: { data: 1 }, context: { attempt: 3, messageId: '1-0' } },
      { group: 'h', event: [{ data: 2 }, { data: 3 }], context: { messageIds: ['2-0', '3-0'] } },
    ]);
    expect(outcomes()).toEqual([{ status: 'succeeded' }, { status: 'succeeded' }]);
  });

  test('a failure passes through it, and the outcome tells whether it is final', async () => {
    const errors = [new Error('again'), new NonRetryableError('never')];
    const seen: unknown[] = [];
    const handle: Instrumentation['handle'] = (_, run) => {
      try {
        return run();
      } catch (error) {
        seen.push(error);
        throw error;
      }
    };
    open(watching({ handle }));
    await bus.subscribe('a', (event) => fail(errors[event.data as number]));
    for (const n of errors.keys()) await bus.publish('a', n);
    await tick();
    expect(seen).toEqual(errors);
    expect(outcomes()).toEqual([
      { status: 'failed', error: errors[0], final: false },
      { status: 'failed', error: errors[1], final: true },
    ]);
    expect(kinds()).toEqual([Settlement.failed, Settlement.failedFinal]);
  });

  test('hooks are told of an end in the context of the event, unless they say that they look at none', async () => {
    const seen: unknown[] = [];
    const told = (endsAnywhere: boolean) => ({
      endsAnywhere,
      handled: (call: HandlerCall) => {
        seen.push(call.event === handledEvent());
      },
    });
    for (const endsAnywhere of [false, true]) {
      open(watching(told(endsAnywhere)));
      await bus.subscribe('a', async () => {}, { retryOnError: false });
      await bus.subscribe('b', async () => fail(new Error('b')), { retryOnError: false });
      await bus.publish('a', 1);
      await bus.publish('b', 1);
      await tick();
      await bus.disconnect();
    }
    // A failure is told there in any case: what follows from it runs code of the user.
    expect(seen).toEqual([true, true, false, true]);
  });

  test('a call that takes too long is told once, when its time is over', async () => {
    open(watching());
    let finish = () => {};
    const handler = () => new Promise<void>((resolve) => (finish = resolve));
    await bus.subscribe('a', handler, { timeout: 1, retryOnError: false });
    await bus.publish('a', 1);
    while (controls.settled.length === 0) await tick();
    expect(kinds()).toEqual([Settlement.timedOut]);
    const error = expect.objectContaining({ code: 'ERR_BUS_HANDLER_TIMEOUT' });
    expect(outcomes()).toEqual([{ status: 'timed-out', error, final: true }]);
    finish();
    await tick();
    expect(ended).toHaveLength(1);
  });

  test('a call that the client ends is not handled', async () => {
    open(watching());
    await bus.subscribe('a', () => new Promise(() => {}));
    await bus.publish('a', 1);
    await tick();
    await bus.disconnect();
    expect(outcomes()).toEqual([{ status: 'not-handled' }]);
  });

  test('events of an iterator are calls until the next one is asked for', async () => {
    open(watching());
    const events = bus.events('a');
    await events.ready();
    await Promise.all([1, 2].map((n) => bus.publish('a', n)));
    await events.next();
    await tick();
    expect(handled.map(({ isIterator }) => isIterator)).toEqual([true, true]);
    expect(ended).toEqual([]);
    await events.next();
    await tick();
    expect(outcomes()).toEqual([{ status: 'succeeded' }]);
    await events.return();
    await tick();
    expect(outcomes()).toEqual([{ status: 'succeeded' }, { status: 'succeeded' }]);
  });

  test('an event that waits in an iterator that is left is not handled', async () => {
    open(watching());
    const events = bus.events('a');
    await events.ready();
    await bus.publish('a', 1);
    await tick();
    await events.return();
    await tick();
    expect(kinds()).toEqual([Settlement.notHandled]);
    expect(outcomes()).toEqual([{ status: 'not-handled' }]);
  });

  test('a replayed event is a call too', async () => {
    controls.answers['replay.page'] = () => ({
      events: [1, 2].map((n) => ({
        id: `${n}-0`,
        stream: 's',
        event: JSON.stringify(event(n)),
      })),
      last: null,
      truncated: false,
      done: true,
      undecodable: 0,
    });
    open(watching());
    const error = new Error('no');
    const handler = ({ data }: { data: unknown }) => (data === 2 ? fail(error) : undefined);
    const result = await bus.replay({ stream: 's', handler });
    expect(result).toMatchObject({ replayed: 1, failed: 1 });
    expect(handled).toMatchObject([{ context: { messageId: '1-0' } }, { event: { data: 2 } }]);
    expect(outcomes()).toEqual([{ status: 'succeeded' }, { status: 'failed', error, final: true }]);
  });

  test('an event that does not match its schema never gets to a handler', async () => {
    const validate = () => ({ issues: [{ message: 'never' }] });
    const schema = { '~standard': { version: 1 as const, vendor: 'test', validate } };
    open(watching(), { schemas: { a: schema }, validateOnReceive: true });
    await bus.subscribe('a', () => {});
    client.event('a', event(1));
    await tick();
    expect(kinds()).toEqual([Settlement.failedFinal]);
    expect([handled, ended]).toEqual([[], []]);
  });

  test('a hook that throws fails its call alone, or is logged where no call is left', async () => {
    const logged: unknown[] = [];
    const error = (message: string, fields: object) => logged.push([message, fields]);
    let times = 0;
    const handle: Instrumentation['handle'] = (_, run) =>
      ++times === 1 ? fail(new Error('hook')) : run();
    const told: Instrumentation['handled'] = () => fail(new Error('told'));
    open(watching({ handle, handled: told }), { logger: { ...quiet, error } });
    const seen: unknown[] = [];
    await bus.subscribe('a', (event) => seen.push(event.data));
    for (const n of [1, 2]) await bus.publish('a', n);
    await tick();
    expect(seen).toEqual([2]);
    expect(kinds()).toEqual([Settlement.failed, Settlement.succeeded]);
    const failed = [
      'a hook of the instrumentation failed',
      expect.objectContaining({ error: 'told' }),
    ];
    expect(logged).toEqual([failed, failed]);
  });
});

test('nothing else that is given beside the configuration counts', async () => {
  const hooks = { publish: jest.fn(), handle: jest.fn(), handled: jest.fn() };
  const stranger = { instrumentation: hooks, timers: {}, broker: {} };
  const Untyped = EventBusClient as unknown as new (...args: unknown[]) => EventBusClient;
  bus = new Untyped({ logger: quiet }, stranger);
  const seen: unknown[] = [];
  await bus.subscribe('a', (event) => seen.push(event.data));
  await bus.publish('a', 1);
  await tick();
  expect(seen).toEqual([1]);
  for (const hook of Object.values(hooks)) expect(hook).not.toHaveBeenCalled();
});

test('without hooks a handler is called by the dispatcher itself', async () => {
  open(undefined);
  let stack = '';
  await bus.subscribe('a', () => {
    stack = new Error('here').stack ?? '';
  });
  await bus.publish('a', 1);
  await tick();
  const frames = stack.split('\n').slice(2);
  const between = frames.slice(
    0,
    frames.findIndex((frame) => frame.includes('dispatcher.ts')),
  );
  for (const frame of between) expect(frame).toMatch(/current-event\.ts|runInAsyncScope/);
  expect(between.length).toBeLessThanOrEqual(3);
  expect(stack).not.toContain('instrumentation.ts');
});
