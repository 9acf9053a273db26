// A service that counts what is said in each room. It hears all rooms by their channels, without being a member.

import { openService } from './service.mjs';

const bus = await openService('counter');
const counts = new Map();
await bus.subscribe(
  'room:*',
  async ({ type, metadata: { room } }) => {
    if (type !== 'chat.said') return;
    const count = (counts.get(room) ?? 0) + 1;
    counts.set(room, count);
    await bus.publishToRoom(room, 'chat.count', { count });
  },
  { by: 'channel' },
);
console.log('ready');
