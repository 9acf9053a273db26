/** A feed of `oxbus/http`: who gets which events of a turn. */

import { Counters } from '../../ts/http/counters';
import { Feed } from '../../ts/http/feed';
import { StreamClient } from '../../ts/http/stream-client';
import { RawJson } from '../../ts/raw-json';

type Handler = (event: object) => void;

function setUp() {
  let handler: Handler = () => {};
  const bus = {
    subscribe: (_pattern: string, given: Handler) => {
      handler = given;
      return Promise.resolve({ unsubscribe: async () => true });
    },
  };
  const counters = new Counters();
  const feed = new Feed(bus as never, 'a', counters, false);
  const publish = (id: string) => handler({ id, type: 'a', data: RawJson.of('1'), metadata: {} });
  const open = (limit = 1024) => {
    const chunks: Uint8Array[] = [];
    let pending = 0;
    const state = {
      chunks,
      destroyed: false,
      client: new StreamClient(
        counters,
        limit,
        () => {},
        (one) => feed.remove(one),
      ),
      /** From here on nothing leaves. */
      stall: () => {
        pending = 1;
      },
      get ids() {
        return [
          ...Buffer.concat(chunks)
            .toString()
            .matchAll(/^id: (.*)$/gm),
        ].map(([, id]) => id);
      },
    };
    state.client.open({
      write: (chunk) => {
        chunks.push(chunk);
        if (pending > 0) pending += chunk.length;
      },
      pending: () => pending,
      drained: async () => {},
      end: () => {},
      destroy: () => {
        state.destroyed = true;
      },
    });
    return state;
  };
  return { feed, counters, publish, open };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('the events of a turn are one write, of the same bytes for all', async () => {
  const { feed, counters, publish, open } = setUp();
  const [one, two] = [open(), open()];
  feed.add(one.client);
  feed.add(two.client);
  for (const id of ['1', '2', '3']) publish(id);
  expect(one.chunks).toEqual([]);
  await turn();
  expect(one.ids).toEqual(['1', '2', '3']);
  expect(one.chunks).toHaveLength(1);
  expect(two.chunks[0]).toBe(one.chunks[0]);
  expect(counters.eventsSent).toBe(6);
});

test('a client that comes within a turn gets what comes after it, and others get all', async () => {
  const { feed, publish, open } = setUp();
  const [one, two] = [open(), open()];
  feed.add(one.client);
  publish('1');
  feed.add(two.client);
  publish('2');
  await turn();
  expect([one.ids, two.ids]).toEqual([['1', '2'], ['2']]);
});

test('a client that is too slow is dropped alone', async () => {
  const { feed, counters, publish, open } = setUp();
  const [slow, quick] = [open(200), open(200)];
  feed.add(slow.client);
  feed.add(quick.client);
  slow.stall();
  for (const id of ['1', '2', '3', '4']) {
    publish(id);
    await turn();
  }
  expect(slow.destroyed).toBe(true);
  expect(slow.ids.length).toBeLessThan(4);
  expect(quick.ids).toEqual(['1', '2', '3', '4']);
  expect(counters.slowClientsDropped).toBe(1);
});

test('a client for which nothing waits gets a chunk of any size', async () => {
  const { feed, publish, open } = setUp();
  const one = open(10);
  feed.add(one.client);
  publish('1');
  await turn();
  expect([one.ids, one.destroyed]).toEqual([['1'], false]);
});

test('what a client has had before it was added does not come to it again, however late', async () => {
  const { feed, publish, open } = setUp();
  const [one, two] = [open(), open()];
  feed.add(one.client);
  feed.add(two.client, new Set(['2', '3']));
  for (const id of ['1', '2', '4']) publish(id);
  await turn();
  publish('3');
  publish('5');
  await turn();
  expect(one.ids).toEqual(['1', '2', '4', '3', '5']);
  expect(two.ids).toEqual(['1', '4', '5']);
  // It comes once: the same id again is another event.
  publish('2');
  await turn();
  expect(two.ids).toEqual(['1', '4', '5', '2']);
  feed.remove(two.client);
});
