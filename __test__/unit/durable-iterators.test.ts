/** `events()` of a group through the TypeScript face, against a fake of the native module. */

import { controls, type FakeClient, reset } from '../support/fake-native';

jest.mock('#native', () => jest.requireActual('../support/fake-native').fakeNative(), {
  virtual: true,
});

import { EventBusClient } from '../../ts/index';
import { Settlement } from '../../ts/native/settlement';
import { event, quiet, tick } from '../support/durable-events';

let bus: EventBusClient;
let client: FakeClient;

beforeEach(() => {
  reset();
  bus = new EventBusClient({ logger: quiet });
  client = controls.clients.at(-1)!;
});

afterEach(() => bus.disconnect());

describe('an iterator', () => {
  const entries = (...all: number[]) =>
    client.entries(
      'g',
      all.map((n): [string, object] => [`${n}-0`, event(n)]),
    );
  const settled = () => controls.settled.map(([token, kind]) => [token % 2 ** 31, kind]).sort();

  test('acknowledges an event when the next one is asked for', async () => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    entries(1, 2);
    await tick();
    expect((await events.next()).value).toMatchObject({ data: 1 });
    await tick();
    expect(settled()).toEqual([]);
    expect((await events.next()).value).toMatchObject({ data: 2 });
    await tick();
    expect(settled()).toEqual([[0, Settlement.succeeded]]);
    await events.return();
    await tick();
    expect(settled()).toEqual([
      [0, Settlement.succeeded],
      [1, Settlement.notHandled],
    ]);
  });

  test.each<[string, (events: any) => Promise<unknown>]>([
    [
      'break',
      async (events) => {
        for await (const _ of events) break;
      },
    ],
    [
      'throw',
      async (events) => {
        for await (const _ of events) throw new Error('left');
      },
    ],
    ['return', async (events) => [await events.next(), await events.return()]],
    ['throw()', async (events) => [await events.next(), await events.throw(new Error('left'))]],
    ['dispose', async (events) => [await events.next(), await events[Symbol.asyncDispose]()]],
  ])('hands back what is in hand and what waits on %s', async (_, leave) => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    entries(1, 2);
    await tick();
    await leave(events).catch(() => {});
    await tick();
    expect(settled()).toEqual([
      [0, Settlement.notHandled],
      [1, Settlement.notHandled],
    ]);
    expect(controls.errors).toEqual([]);
    expect(bus.subscriberCount()).toBe(0);
  });

  test('keeps what is in hand when the client ends, until it is done', async () => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    entries(1, 2);
    await events.next();
    let end = () => {};
    const disconnect = client.disconnect.bind(client);
    jest.spyOn(client, 'disconnect').mockImplementation((ticket) => {
      end = () => disconnect(ticket);
    });
    void bus.disconnect();
    await tick();
    expect(settled()).toEqual([[1, Settlement.notHandled]]);
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await tick();
    expect(settled()).toEqual([
      [0, Settlement.succeeded],
      [1, Settlement.notHandled],
    ]);
    end();
  });

  test('skips what another consumer has taken over', async () => {
    const events = bus.events('a', { group: 'g' });
    await events.ready();
    const token = entries(1, 2, 3);
    await tick();
    const place = { stream: 's', group: 'g', messageId: '2-0' };
    client.notice({ event: 'claimLost', tokens: [token + 1], ...place });
    await tick();
    expect((await events.next()).value).toMatchObject({ data: 1 });
    expect((await events.next()).value).toMatchObject({ data: 3 });
  });

  test('has no batches', async () => {
    const events = bus.events('a', { group: 'g', batch: { size: 2 } } as never);
    await expect(events.next()).rejects.toMatchObject({ path: 'batch' });
  });
});
