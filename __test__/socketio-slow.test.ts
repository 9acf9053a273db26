/** Sockets of `attachSocketIO` that cannot take what they are sent: volatile events, and sockets that never read. */

import type { Socket } from 'socket.io-client';
import { EventBusClient } from '..';
import { type AttachOptions, attachSocketIO, createHub, type SocketIORoute } from '../socket.io';
import { eventually } from './support/eventually';
import { heard, Opened, trusting } from './support/socket-io';

const LIMIT = 30_000;
const opened = new Opened();
afterEach(() => opened.close());

async function bridge(routes: SocketIORoute[], options: AttachOptions = {}) {
  const bus = new EventBusClient({ mode: 'memory', memory: 'slow', logLevel: 'error' });
  opened.add(() => bus.disconnect());
  await bus.connect();
  const server = await opened.server();
  const attached = attachSocketIO(bus, server.io, routes, options);
  opened.add(() => attached.detach());
  await attached.ready();
  return { ...server, bus, attached };
}

/** Its end of the connection reads nothing, as that of a process that is stopped, until it is told to. */
function stopReading(socket: Socket): () => void {
  const { _socket: below } = (socket.io.engine.transport as any).ws;
  below.pause();
  const goOn = () => below.resume();
  opened.add(goOn);
  return goOn;
}

const large = 'x'.repeat(500_000);

test(
  'a volatile event passes over a socket that cannot take it now, and that is counted',
  async () => {
    const routes = ['all', 'room:{data.room}'].map((to, index) => ({
      on: ['all', 'room'][index]!,
      to,
      emit: 'told',
      volatile: true,
    }));
    const { url, io, bus, attached } = await bridge(routes);
    const [good, slow] = [await opened.client(url), await opened.client(url)];
    const lists = [heard(good, 'told'), heard(slow, 'told')] as const;
    io.of('/').sockets.get(slow.id!)!.join('room:1');
    const goOn = stopReading(slow);
    let published = 0;
    await eventually(async () => {
      await bus.publish('all', large);
      published += 1;
      await eventually(() => attached.stats().emitted === published);
      return attached.stats().passedOver >= 3 && lists[0].length >= 3;
    });
    const before = attached.stats().passedOver;
    await bus.publish('room', { room: 1 });
    await eventually(() => attached.stats().emitted === published + 1);
    expect(attached.stats().passedOver).toBe(before + 1);
    goOn();
    // Each event to all has come to a socket, or has been counted.
    await eventually(() => lists[0].length + lists[1].length + before === 2 * published);
    expect(lists[1].length).toBeLessThan(published);
    await bus.publish('room', { room: 1 });
    await eventually(() => lists[1].at(-1)?.type === 'room');
    expect(attached.stats()).toMatchObject({ passedOver: before + 1, slowSocketsDropped: 0 });
  },
  LIMIT,
);

test(
  'an event that is not volatile waits for a socket, and one that never reads is cut off and counted',
  async () => {
    const route = { on: 'big', to: 'all', emit: 'told' };
    const { url, io, bus, attached } = await bridge([route], { maxBufferBytes: 1 << 20 });
    const [good, slow] = [await opened.client(url), await opened.client(url)];
    const events = heard(good, 'told');
    stopReading(slow);
    let published = 0;
    await eventually(async () => {
      await bus.publish('big', large);
      published += 1;
      await eventually(() => events.length === published);
      return attached.stats().slowSocketsDropped === 1;
    });
    await eventually(() => io.of('/').sockets.size === 1);
    expect(attached.stats()).toMatchObject({ emitted: published, passedOver: 0 });
    expect(good.connected).toBe(true);
  },
  LIMIT,
);

test(
  'after detach nothing is looked at any more',
  async () => {
    const { url, io, attached } = await bridge([], { maxBufferBytes: 1024 });
    const socket = await opened.client(url);
    const events = heard(socket, 'own');
    await attached.detach();
    const [one] = [...io.of('/').sockets.values()];
    expect([one!.conn.listenerCount('packetCreate'), one!.listenerCount('disconnect')]).toEqual([
      0, 0,
    ]);
    const goOn = stopReading(socket);
    for (let n = 0; n < 20; n += 1) {
      io.emit('own', large);
      await new Promise((resolve) => setImmediate(resolve));
    }
    goOn();
    await eventually(() => events.length === 20);
    expect(attached.stats().slowSocketsDropped).toBe(0);
  },
  LIMIT,
);

test('a client that leaves the hub and comes back on one connection leaves nothing there', async () => {
  const bus = new EventBusClient({ mode: 'memory', memory: 'again', logLevel: 'error' });
  opened.add(() => bus.disconnect());
  const { url, io } = await opened.server();
  const hub = createHub(io.of('/bus'), bus, trusting);
  opened.add(() => hub.close());
  // It holds the connection while the other namespace is left.
  const other = await opened.client(url);
  const connection = [...io.of('/').sockets.values()][0]!.conn as unknown as NodeJS.EventEmitter;
  // It connects by itself the first time.
  const socket = other.io.socket('/bus');
  opened.add(() => socket.disconnect());
  const listeners = () =>
    connection.listenerCount('packetCreate') + connection.listenerCount('drain');
  const counts: number[] = [];
  for (let n = 0; n < 4; n += 1) {
    if (n > 0) socket.connect();
    await eventually(() => hub.stats().clients === 1);
    counts.push(listeners());
    socket.disconnect();
    await eventually(() => hub.stats().clients === 0);
  }
  expect(hub.stats().clientsConnected).toBe(4);
  expect(counts).toEqual(Array(4).fill(counts[0]));
});
