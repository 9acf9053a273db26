/** `replay()` against a fake of the native module: its pages, and how it ends. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import { EventBusClient, type EventBusError } from '../../ts/index';

let bus: EventBusClient;
let client: FakeClient;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const tick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
const query = { stream: 's', group: 'g' };
const rejection = (call: Promise<unknown>): Promise<EventBusError> =>
  call.then(
    () => Promise.reject(new Error('it resolved')),
    (error) => error,
  );

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
  client = controls.clients.at(-1)!;
});

afterEach(() => bus.disconnect());

/** Answers as many events as are asked for, until `count` were. */
function deliver(count: number): void {
  let sent = 0;
  controls.answers['replay.group'] = ({ limit }) => {
    const replayed = Math.min(limit, count - sent);
    const firstId = replayed === 0 ? null : `${sent + 1}-0`;
    sent += replayed;
    const lastId = replayed === 0 ? null : `${sent}-0`;
    const truncated = sent > 100;
    return {
      replayed,
      failed: 0,
      truncated,
      firstId,
      lastId,
      last: `x${sent}`,
      done: replayed < limit,
    };
  };
}

test('a group is sent its events in pages', async () => {
  deliver(150);
  const counted = { failed: 0, truncated: true, firstId: '1-0' };
  expect(await bus.replay(query)).toEqual({ ...counted, replayed: 150, lastId: '150-0' });
  expect(controls.requests.map(([, args]) => args)).toEqual([
    { ...query, limit: 64 },
    { ...query, limit: 64, after: 'x64', replayed: 64 },
    { ...query, limit: 64, after: 'x128', replayed: 128 },
  ]);
  deliver(150);
  expect(await bus.replay({ ...query, limit: 70 })).toMatchObject({
    replayed: 70,
    truncated: false,
  });
  expect(controls.requests.at(-1)?.[1]).toMatchObject({ limit: 6 });
});

test('an abort stops the delivery to a group, and it rejects when no more is sent', async () => {
  const controller = new AbortController();
  deliver(1000);
  const answer = controls.answers['replay.group']!;
  let end = () => {};
  controls.answers['replay.group'] = async (args: unknown) => {
    await new Promise<void>((resolve) => {
      end = resolve;
    });
    return answer(args as never);
  };
  const replayed = rejection(bus.replay({ ...query, signal: controller.signal }));
  let settled = false;
  void replayed.then(() => {
    settled = true;
  });
  await tick();
  controller.abort('enough');
  await tick();
  expect(settled).toBe(false);
  end();
  expect(await replayed).toMatchObject({
    code: 'ERR_BUS_ABORTED',
    message: 'the call was aborted (after 64 were replayed)',
    cause: 'enough',
  });
  expect(controls.requests).toHaveLength(1);
});

test.each([[0], [1.5], ['5'], [null]])('a limit of %p is refused', async (limit) => {
  const error = await rejection(bus.replay({ ...query, limit } as never));
  expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'limit' });
});

test('a replay keeps the process alive, also while only its handler is at work', async () => {
  const metadata = { timestamp: '2026-01-01T00:00:00.000Z', source: 'x', correlationId: 'c' };
  const event = JSON.stringify({ id: 'e', type: 'a', data: 1, metadata });
  controls.answers['replay.page'] = () => ({
    events: [{ id: '1-0', stream: 's', event }],
    last: null,
    truncated: false,
    done: true,
    undecodable: 0,
  });
  let end = () => {};
  const handler = () =>
    new Promise<void>((resolve) => {
      end = resolve;
    });
  const replayed = bus.replay({ stream: 's', handler });
  await tick();
  await tick();
  expect(client.held).toBe(true);
  end();
  await replayed;
  await tick();
  expect(client.held).toBe(false);
});
