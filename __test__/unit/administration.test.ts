/** `bus.streams`, `bus.deadLetters` and the history, against a fake of the native module. */

import { controls, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import { EventBusClient } from '../../ts/index';
import { event, fail, quiet } from '../support/durable-events';

let bus: EventBusClient;

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
});

afterEach(() => bus.disconnect());

/** What a replay of one event comes to. */
const REPLAYED = { replayed: 1, failed: 0, truncated: false, firstId: '5-0', lastId: '5-0' };

/** The questions whose events come as objects. */
const ABOUT_EVENTS = ['getEvent', 'getHistory', 'deadLetters.list', 'deadLetters.get'];

describe('administration', () => {
  const date = new Date(5);
  const letter = { id: 's:dlq:1-0', stream: 's', event: null };
  test.each<[string, () => Promise<unknown>, object, unknown?, unknown?]>([
    ['streams.info', () => bus.streams.info('s'), { name: 's' }, { name: 's' }],
    ['streams.exists', () => bus.streams.exists('s'), { name: 's' }, true],
    ['streams.list', () => bus.streams.list(), {}, []],
    ['streams.list', () => bus.streams.list({ scan: true }), { scan: true }, []],
    ['streams.pending', () => bus.streams.pending('s', 'g'), { name: 's', group: 'g' }, []],
    [
      'streams.pending',
      () => bus.streams.pending('s', 'g', { limit: 5 }),
      { name: 's', group: 'g', limit: 5 },
      [],
    ],
    ['streams.recover', () => bus.streams.recover({ group: 'g' }), { group: 'g' }, { checked: 1 }],
    [
      'streams.recover',
      () => bus.streams.recover({ stream: 's' }),
      { stream: 's' },
      { checked: 1 },
    ],
    ['streams.trim', () => bus.streams.trim('s', { before: date }), { name: 's', before: 5 }, 3],
    [
      'streams.setPosition',
      () => bus.streams.setPosition('s', 'g', date),
      { name: 's', group: 'g', id: 5 },
      null,
      undefined,
    ],
    [
      'streams.removeGroup',
      () => bus.streams.removeGroup('s', 'g'),
      { name: 's', group: 'g' },
      true,
    ],
    [
      'deadLetters.list',
      () => bus.deadLetters.list({ stream: 's', after: 'x' }),
      { stream: 's', after: 'x' },
      [{ ...letter, event: JSON.stringify(event(1)) }, letter],
      [{ ...letter, event: event(1) }, letter],
    ],
    ['deadLetters.get', () => bus.deadLetters.get('x'), { id: 'x' }, letter],
    ['deadLetters.get', () => bus.deadLetters.get('x'), { id: 'x' }, null],
    [
      'deadLetters.replay',
      () => bus.deadLetters.replay('x', { to: 'stream' }),
      { id: 'x', to: 'stream' },
      { messageId: '1-0' },
    ],
    ['deadLetters.replayAll', () => bus.deadLetters.replayAll(), {}, 3],
    ['deadLetters.remove', () => bus.deadLetters.remove('x'), { id: 'x' }, false],
    ['deadLetters.purge', () => bus.deadLetters.purge('s'), { stream: 's' }, 3],
    ['deadLetters.count', () => bus.deadLetters.count(), {}, 3],
    ['getEvent', () => bus.getEvent('x'), { id: 'x' }, JSON.stringify(event(1)), event(1)],
    ['getEvent', () => bus.getEvent('x'), { id: 'x' }, null],
    [
      'getHistory',
      () => bus.getHistory({ type: 'a.*', from: date, to: 7, order: 'desc' }),
      { type: 'a.*', from: 5, to: 7, order: 'desc' },
      { events: [JSON.stringify(event(1))], complete: true },
      [event(1)],
    ],
    [
      'replay.group',
      () => bus.replay({ stream: 's', from: date, group: 'g' }),
      { stream: 's', from: 5, group: 'g', limit: 64 },
      { ...REPLAYED, last: '5/s:5-0', done: true },
      REPLAYED,
    ],
  ])('%s', async (method, call, args, answer, expected = answer) => {
    controls.answers[method] = () => answer;
    expect(await call()).toEqual(expected ?? (method === 'streams.setPosition' ? undefined : null));
    const events = ABOUT_EVENTS.includes(method) && { events: 'shapes' };
    expect(controls.requests).toEqual([[method, { ...args, ...events }]]);
  });

  test('what is wrong is refused where it was called', async () => {
    const refused = { code: 'ERR_BUS_NO_STREAM', message: 'there is no stream' };
    controls.answers['streams.info'] = () => fail(refused);
    async function caller() {
      await bus.streams.info('s');
    }
    const error = await caller().catch((e) => e);
    expect(error).toMatchObject(refused);
    expect(error.stack.split('\n')[1]).toContain('administration.test.ts');
    for (const [call, path] of [
      [() => bus.streams.pending('s', 'g', { name: 'x' } as never), 'name'],
      [() => bus.streams.info((() => {}) as never), 'name'],
      [() => bus.deadLetters.list({ limit: 1n } as never), 'limit'],
      [() => bus.streams.trim('s', { before: new Date(Number.NaN) }), 'before'],
      [() => bus.replay({ stream: 's' } as never), 'handler'],
      [() => bus.replay({ stream: 's', handler() {}, group: 'g' } as never), 'group'],
      [() => bus.replay({ stream: 's', handler() {}, limit: 0 }), 'limit'],
      [() => bus.replay({ stream: 's', handler() {}, until: 5 } as never), 'until'],
    ] as const) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
    }
    await bus.disconnect();
    await expect(bus.streams.list()).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
  });
});
