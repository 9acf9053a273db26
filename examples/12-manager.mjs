// The bus of the process: no client to pass around, configured from the environment, flat events.

import { eventBusManager } from '../index.js';
import { connection } from './connection.mjs';

// A service needs none of this: the first use opens the bus, as REDIS_URL and SERVICE_NAME say.
await eventBusManager.initialize({ serviceName: 'bookings', ...connection });

const confirmed = new Promise((resolve) => {
  eventBusManager.subscribe('booking.confirmed', ({ userId, timestamp, correlationId, metadata }) =>
    resolve({ userId, day: timestamp.getUTCDate(), correlationId, ...metadata }),
  );
});
const ids = await eventBusManager.subscribe('booking.created', async (event) => {
  await eventBusManager.publish({
    type: 'booking.confirmed',
    userId: event.userId,
    timestamp: event.timestamp,
    metadata: { bookingId: event.metadata.bookingId },
  });
});

await eventBusManager.publish({
  type: 'booking.created',
  userId: 'user-123',
  organizationId: 'org-456',
  timestamp: new Date('2026-01-17'),
  correlationId: 'request-1',
  metadata: { bookingId: '789' },
});
console.log('confirmed:', await confirmed);

await eventBusManager.unsubscribe(ids);
const { stats, health } = await eventBusManager.getSystemStats();
console.log(`${stats.mode}, ${health.status}, published ${stats.eventsPublished}`);

await eventBusManager.shutdown(); // announces the end and drains; the next use would open the bus again
console.log('ok');
