/** Events that cannot be built: their calls fail, the others are made, and nothing is left that is never settled. */

import { controls, type FakeClient, reset } from '../support/fake-native';

const mockBuild = jest.fn();

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});
jest.mock('../../ts/native/columns', () => {
  const real = jest.requireActual('../../ts/native/columns');
  return {
    ...real,
    readEvent: (columns: unknown) => {
      mockBuild();
      return real.readEvent(columns);
    },
  };
});

import { EventBusClient, type EventBusError } from '../../ts/index';
import { Settlement } from '../../ts/native/settlement';
import { event, fail, kinds, quiet, tick } from '../support/durable-events';

const { succeeded, failed } = Settlement;

let bus: EventBusClient;
let client: FakeClient;
let errors: EventBusError[];

beforeEach(() => {
  reset();
  mockBuild.mockReset();
  bus = new EventBusClient({ logger: quiet });
  client = controls.clients.at(-1)!;
  errors = [];
  bus.on('error', (error) => errors.push(error as EventBusError));
});

afterEach(() => bus.disconnect());

/** The building of the next events goes well so many times, and then fails once. */
function failAfter(times: number): void {
  for (let time = 0; time < times; time += 1) mockBuild.mockImplementationOnce(() => {});
  mockBuild.mockImplementationOnce(() => fail(new Error('no constructor')));
}

test('live events: what came before is handled, the rest of the drain fails, and the next one is handled', async () => {
  const seen: number[] = [];
  const { sub } = await subscribed((data) => seen.push(data));
  for (const n of [1, 2, 3, 4]) client.deliver({ sub, event: event(n) });
  failAfter(2);
  await tick();
  expect(seen).toEqual([1, 2]);
  expect(kinds()).toEqual([succeeded, succeeded, failed, failed]);
  expect(controls.settled.map(([token]) => token)).toEqual([0, 1, 2, 3]);
  expect(errors.map(({ code, message }) => [code, message])).toEqual([
    [
      'ERR_BUS_INTERNAL',
      '2 handler calls failed, as an event that came in could not be built: no constructor',
    ],
  ]);
  expect(errors[0]?.cause).toEqual(new Error('no constructor'));
  client.deliver({ sub, event: event(5) });
  await tick();
  expect(seen).toEqual([1, 2, 5]);
});

test('durable events: they fail with the error that a dead letter shows', async () => {
  const seen: number[] = [];
  await bus.subscribe('a', (one: any) => void seen.push(one.data), { group: 'g' });
  const first = client.entries('g', [
    ['1-0', event(1)],
    ['2-0', event(2)],
    ['3-0', event(3)],
  ]);
  failAfter(1);
  await tick();
  expect(seen).toEqual([1]);
  expect(controls.settled.map(([token, kind]) => [token - first, kind])).toEqual([
    [0, succeeded],
    [1, failed],
    [2, failed],
  ]);
  expect(controls.errors.map(([token, { message }]) => [token - first, message])).toEqual([
    [1, 'no constructor'],
    [2, 'no constructor'],
  ]);
  expect(errors).toHaveLength(1);
});

test('a batch fails as the one call that it is', async () => {
  const handler = jest.fn();
  await bus.subscribe('a', handler, { group: 'g', batch: { size: 2, wait: 10 } });
  const entries = (n: number): [string, object][] => [
    [`${n}-0`, event(n)],
    [`${n}-1`, event(n)],
  ];
  const first = client.entries('g', entries(1), { batch: 2 });
  client.entries('g', entries(2), { batch: 2 });
  failAfter(1);
  await tick();
  expect(handler).not.toHaveBeenCalled();
  expect(controls.settled.map(([token, kind]) => [token - first, kind])).toEqual([
    [0, failed],
    [1, failed],
  ]);
  expect(errors).toHaveLength(1);
});

test('columns that cannot be taken fail all calls, and results are told all the same', async () => {
  const seen: number[] = [];
  const { sub } = await subscribed((data) => seen.push(data));
  client.takeColumns = () => fail(new RangeError('no memory'));
  const result = bus.publish('b', 0);
  client.deliver({ sub, event: event(1) });
  await expect(result).resolves.toMatchObject({ eventId: 'id-2' });
  await tick();
  expect([seen, kinds()]).toEqual([[], [failed]]);
  expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('no memory')]);
});

test('objects of a shape that nobody has told of fail, and the columns behind them are not read', async () => {
  const seen: unknown[] = [];
  const { sub } = await subscribed((data) => seen.push(data));
  const [object, apart, json] = [4, (-1 << 3) | 1, 6];
  const words = [0, 1, 0].flatMap((shape) => [apart, json, (shape << 3) | object, 1]);
  const drained = {
    shapes: [[0, ['n']]],
    deliveries: [[sub, 7, 3, 0]],
    columns: [0, words.length, 0, 0],
    json: [1, 2, 3].map((n) => event(n, 0)),
  };
  const drain = jest.spyOn(client, 'drain').mockImplementationOnce(() => {
    drain.mockRestore();
    client.drain();
    return JSON.stringify(drained);
  });
  client.takeColumns = (target) => target.set(Buffer.from(Int32Array.from(words).buffer));
  client.notice({ event: 'ready' });
  await tick();
  expect(seen).toEqual([{ n: 0 }]);
  expect(controls.settled.map(([token, kind]) => [token, kind])).toEqual([
    [7, succeeded],
    [8, failed],
    [9, failed],
  ]);
});

/** A live subscription, and its number. */
async function subscribed(handle: (data: number) => void): Promise<{ sub: number }> {
  const { id } = await bus.subscribe('a', (one: any) => handle(one.data));
  return { sub: Number(id.split(':').at(-1)) };
}
