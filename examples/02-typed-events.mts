// What TypeScript knows about an event map. 02-typed-events.mjs is the same program as it runs.

import { EventBusClient } from 'oxbus';

interface Events {
  'photo.uploaded': { photoId: string; userId: string };
  'photo.deleted': { photoId: string };
  'user.renamed': { userId: string; name: string };
}

await using bus = new EventBusClient<Events>({ serviceName: 'gallery', mode: 'memory' });

// The payload of each type is checked.
await bus.publish('photo.uploaded', { photoId: '1', userId: '2' });
// @ts-expect-error userId is missing
await bus.publish('photo.uploaded', { photoId: '1' });

// An exact type: one payload.
await bus.subscribe('user.renamed', (event) => console.log(event.data.name.toUpperCase()));

// A prefix pattern: the union of the types that match, told apart by `type`.
await bus.subscribe('photo.*', (event) => {
  if (event.type === 'photo.uploaded') console.log(event.data.userId);
  else console.log(event.data.photoId);
});
