// Two services: one publishes, the other subscribes to a pattern.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const api = new EventBusClient({ serviceName: 'api', ...connection });
const indexer = new EventBusClient({ serviceName: 'indexer', ...connection });

const { promise: deleted, resolve } = withResolvers();

// `subscribe` resolves once the server has confirmed it: every event published from here on arrives.
const subscription = await indexer.subscribe('photo.*', (event, ctx) => {
  console.log(`${event.type} from ${event.metadata.source} by ${ctx.pattern}:`, event.data);
  if (event.type === 'photo.deleted') resolve();
});

const { channel, eventId } = await api.publish('photo.uploaded', { photoId: '1', userId: '2' });
console.log(`published to ${channel}: ${eventId}`);
await api.publish('user.renamed', { userId: '2' }); // nobody has subscribed to this type
await api.publish('photo.deleted', { photoId: '1' });

await deleted;
await subscription.unsubscribe();
await api.disconnect(); // drains: publishes are sent, running handlers end
await indexer.disconnect();
console.log('ok');

// Promise.withResolvers, which Node 20 does not have yet.
function withResolvers() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
