// Clients join a room, one of them publishes to it, and each event counts once for every client whose
// handler has got it. Never more than a window of events is on its way.

import { loadRooms } from '../support/contestants.mjs';
import { startMeter } from '../support/meter.mjs';
import { payloads } from '../support/payloads.mjs';

const ROOM = 'hall';
const BURST = 16;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function run({ contestant, params }) {
  const { url, clients: count, payload, window, duration, warmUp } = params;
  const { createRoomClient } = await loadRooms(contestant);
  const clients = Array.from({ length: count }, () => createRoomClient(url));
  await Promise.all(clients.map((client) => client.connect()));

  let delivered = 0;
  let moved = () => {};
  const countDelivery = (event) => {
    if (event.data === undefined) throw new Error('an event without data');
    delivered += 1;
    if (delivered % count === 0) moved();
  };
  await Promise.all(clients.map((client) => client.subscribe('chat.*', countDelivery)));
  const started = performance.now();
  await Promise.all(clients.map((client, n) => client.join(ROOM, `member-${n}`)));
  const joined = performance.now() - started;
  const members = await clients[0].members(ROOM);
  if (members.length !== count) throw new Error(`${members.length} members, not ${count}`);

  const [data] = payloads(payload);
  const [publisher] = clients;
  let published = 0;
  let running = true;
  const fill = () => {
    while (running && published - delivered / count < window) {
      for (let n = 0; n < BURST; n += 1) {
        published += 1;
        publisher.publish(ROOM, 'chat.said', data).catch((error) => {
          throw error;
        });
      }
    }
  };
  moved = fill;
  fill();
  await pause(warmUp);
  const meter = startMeter();
  const before = delivered;
  await pause(duration);
  const result = meter.stop(delivered - before);
  running = false;
  const deadline = performance.now() + 5000;
  while (delivered < published * count && performance.now() < deadline) await pause(5);
  const lost = published * count - delivered;
  await Promise.all(clients.map((client) => client.close()));
  return { ...result, joined, lost };
}
