// A service that welcomes who comes.

import { openService } from './service.mjs';

const bus = await openService('greeter');
await bus.subscribe('chat.joined', async ({ data, metadata }) => {
  const members = await bus.getRoomMembers(data.room);
  const text = `Welcome, ${metadata.userId}. Here: ${members.join(', ')}`;
  await bus.publishToRoom(data.room, 'chat.said', { text }, { userId: 'greeter' });
});
console.log('ready');
