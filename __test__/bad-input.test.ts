/** Every option of every call with values of the wrong kind: refused by name, harming nothing else. */

import { type EventBusClient, EventBusManager, escapePattern } from '..';
import { eventually } from './support/eventually';
import { CALLS, STREAMS } from './support/option-calls';
import { rejection } from './support/rejection';
import { onBothTransports } from './support/transports';
import { expectRefused, expectTaken, KINDS, type Kind, refusal, VALUES } from './support/values';

onBothTransports((fixture) => {
  /** Runs `body` while events flow, which all have to arrive, each once. */
  async function besideOthers(body: (bus: EventBusClient) => Promise<void>): Promise<void> {
    const bus = await fixture.open({ streams: STREAMS });
    const seen: number[] = [];
    await bus.subscribe('flow', (event) => seen.push(event.data));
    const published: Promise<unknown>[] = [];
    let running = true;
    const flow = (async () => {
      while (running || published.length === 0) {
        published.push(bus.publish('flow', published.length));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    try {
      await body(bus);
    } finally {
      running = false;
      await flow;
    }
    await Promise.all(published);
    await eventually(() => seen.length === published.length);
    expect(seen).toEqual(published.map((_, n) => n));
    expect(bus.subscriberCount()).toBe(1);
    expect(bus.getStats()).toMatchObject({ eventsDropped: 0, inFlight: 0, activeSubscriptions: 1 });
  }

  test.each(Object.entries(CALLS))('options of %s', async (name, { call, at, orTrue, options }) => {
    await besideOthers(async (bus) => {
      for (const [key, taken] of Object.entries({ ...options, unknown: [] as Kind[] })) {
        for (const kind of KINDS) {
          const what = `${name} { ${key}: ${kind} }`;
          const run = () => call(bus, { [key]: VALUES[kind] });
          const path = at === undefined ? key : `${at}.${key}`;
          if (!taken.includes(kind)) await expectRefused(what, path, run);
          else await expectTaken(what, run);
        }
      }
      for (const kind of KINDS) {
        if (kind === 'object' || (orTrue && kind === 'boolean')) continue;
        const run = () => call(bus, VALUES[kind] as never);
        await expectRefused(`${name}(${kind})`, at ?? '', run);
      }
    });
  });

  test('an unknown key is told with the one that may have been meant, wherever it is read', async () => {
    const bus = await fixture.open({ streams: STREAMS });
    const meant: [string, string, () => unknown][] = [
      ['gruop', 'group', () => bus.streams.recover({ gruop: 'g' } as never)],
      ['groupId', 'group', () => bus.streams.recover({ groupId: 'g' } as never)],
      ['maxlength', 'maxLength', () => bus.streams.trim('x', { maxlength: 1 } as never)],
      ['timeOut', 'timeout', () => bus.connect({ timeOut: 1 } as never)],
      ['Member', 'member', () => bus.joinRoom('r', { Member: 'm' } as never)],
      ['groupId', 'group', () => bus.subscribe('a', () => {}, { groupId: 'g' } as never)],
    ];
    for (const [key, known, call] of meant) {
      const error = await rejection((async () => call())());
      expect(error.message).toBe(`${key}: unknown key: did you mean '${known}'?`);
    }
    const manager = new EventBusManager({ mode: 'memory', logger: false });
    const flat = await rejection(manager.publish({ type: 'a', userid: '1' } as never));
    expect(flat.message).toBe("userid: unknown key: did you mean 'userId'?");
  });

  test('arguments', async () => {
    const calls: Record<string, [(bus: EventBusClient, value: any) => unknown, Kind[], string?]> = {
      'publish type': [(bus, v) => bus.publish(v, 1), ['text']],
      'broadcast type': [(bus, v) => bus.broadcast(v, 1), ['text']],
      'publish data': [
        (bus, v) => bus.publish('unused', v),
        KINDS.filter((kind) => !['function', 'symbol', 'bigint'].includes(kind)),
        'data',
      ],
      'publishBatch items': [(bus, v) => bus.publishBatch(v), ['array'], 'items'],
      'publishBatch item': [
        async (bus, v) => {
          const [result] = await bus.publishBatch([v]);
          if (result?.status === 'rejected') throw result.reason;
        },
        [],
      ],
      'subscribe pattern': [
        async (bus, v) => (await bus.subscribe(v, () => {})).unsubscribe(),
        ['text', 'control'],
      ],
      'subscribe patterns': [
        async (bus, v) => (await bus.subscribe([v], () => {})).unsubscribe(),
        ['text', 'control'],
      ],
      'subscribe handler': [
        async (bus, v) => (await bus.subscribe('unused', v)).unsubscribe(),
        ['function'],
        'handler',
      ],
      'subscribeAll projection': [(bus, v) => bus.subscribeAll(v), [], 'projection'],
      'subscribeAll subscribedTo': [
        async (bus, v) => {
          const projection = { subscribedTo: () => v, handle() {} };
          await (await bus.subscribeAll(projection)).unsubscribe();
        },
        ['text', 'control'],
      ],
      'events pattern': [
        async (bus, v) => {
          const events = bus.events(v);
          await events.ready();
          await events.return();
        },
        ['text', 'control'],
      ],
      'streams.info name': [(bus, v) => bus.streams.info(v), ['text'], 'name'],
      'streams.exists name': [(bus, v) => bus.streams.exists(v), ['text'], 'name'],
      'streams.pending name': [(bus, v) => bus.streams.pending(v, 'x'), ['text'], 'name'],
      'streams.pending group': [(bus, v) => bus.streams.pending('x', v), ['text'], 'group'],
      'streams.trim name': [(bus, v) => bus.streams.trim(v, { maxLength: 5 }), ['text'], 'name'],
      'streams.removeGroup group': [(bus, v) => bus.streams.removeGroup('x', v), ['text'], 'group'],
      'streams.setPosition position': [(bus, v) => bus.streams.setPosition('x', 'x', v), [], 'id'],
      'deadLetters.get id': [
        (bus, v) => bus.deadLetters.get(v),
        ['text', 'empty', 'control'],
        'id',
      ],
      'deadLetters.remove id': [
        (bus, v) => bus.deadLetters.remove(v),
        ['text', 'empty', 'control'],
        'id',
      ],
      'deadLetters.replay id': [
        (bus, v) => bus.deadLetters.replay(v),
        ['text', 'empty', 'control'],
        'id',
      ],
      'deadLetters.purge stream': [(bus, v) => bus.deadLetters.purge(v), ['text'], 'stream'],
      'deadLetters.count stream': [(bus, v) => bus.deadLetters.count(v), ['text'], 'stream'],
      'getEvent id': [(bus, v) => bus.getEvent(v), ['text'], 'id'],
      'unsubscribe id': [(bus, v) => bus.unsubscribe(v), ['text', 'empty', 'control'], 'id'],
      'subscriberCount pattern': [
        (bus, v) => bus.subscriberCount(v),
        ['text', 'empty', 'control'],
        'pattern',
      ],
      'escapePattern text': [(_, v) => escapePattern(v), ['text', 'empty', 'control'], 'text'],
    };
    for (const method of ['on', 'once', 'off'] as const) {
      calls[`${method} name`] = [(bus, v) => bus[method](v, () => {}), [], 'name'];
      calls[`${method} listener`] = [(bus, v) => bus[method]('ready', v), ['function'], 'listener'];
    }
    await besideOthers(async (bus) => {
      for (const [name, [call, taken, path]] of Object.entries(calls)) {
        for (const kind of KINDS) {
          const run = () => call(bus, VALUES[kind]);
          if (!taken.includes(kind)) await expectRefused(`${name} ${kind}`, path, run);
          else await expectTaken(`${name} ${kind}`, run);
        }
      }
    });
  });

  test('what is refused does not connect an idle client, nor close one', async () => {
    const bus = fixture.create();
    await expectRefused('connect', 'timeout', () => bus.connect({ timeout: -1 }));
    await expectRefused('subscribe', 'concurrency', () =>
      bus.subscribe('a', () => {}, { concurrency: 0 }),
    );
    await expectRefused('publish', 'key', () => bus.publish('a', 1, { key: () => {} } as never));
    await expectRefused('data', 'data', () => bus.publish('a', 1n));
    expect(bus.state).toBe('idle');
    for (const close of ['disconnect', 'close'] as const) {
      await expectRefused(close, 'timeout', () => bus[close]({ timeout: 'x' } as never));
      await expectRefused(close, 'wait', () => bus[close]({ wait: true } as never));
      const error = await bus[close]({ timeout: -1 }).catch((e) => e);
      expect(error.stack.split('\n')[1]).toContain('bad-input.test.ts');
    }
    await bus.connect();
  });

  test('getters that throw fail the call alone', async () => {
    await besideOthers(async (bus) => {
      const trap = Object.defineProperty({}, 'key', {
        enumerable: true,
        get() {
          throw new Error('trap');
        },
      });
      for (const call of [
        () => bus.publish('unused', trap),
        () => bus.publish('unused', 1, trap as never),
        () => bus.publish('unused', { toJSON: () => JSON.parse('{') }),
        () => bus.subscribe('unused', () => {}, trap as never),
        () => bus.connect(trap as never),
      ]) {
        expect(await refusal(call)).toBeInstanceOf(Error);
      }
    });
  });
});
