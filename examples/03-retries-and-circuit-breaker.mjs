// A handler that fails is called again with backoff. A handler that fails too often is not called for a while.

import { EventBusClient, NonRetryableError } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({ serviceName: 'mailer', ...connection });

// The first two attempts fail, the third succeeds.
const sent = new Promise((resolve) => {
  bus
    .subscribe(
      'mail.requested',
      (_event, { attempt }) => {
        console.log(`attempt ${attempt}`);
        if (attempt < 3) throw new Error('the mail server is busy');
        resolve();
      },
      { maxRetries: 3, retry: { initialDelay: 20, maxDelay: 200, multiplier: 2, jitter: 'full' } },
    )
    .then(() => bus.publish('mail.requested', { to: 'someone@example.org' }));
});
await sent;

// After 4 failures in 4 calls the circuit opens: events are dropped and counted, and no handler is called.
const opened = new Promise((resolve) =>
  bus.on('circuit', ({ state }) => state === 'open' && resolve()),
);
await bus.subscribe(
  'invoice.created',
  () => {
    throw new NonRetryableError('no such customer'); // never tried again
  },
  {
    circuitBreaker: {
      errorThresholdPercentage: 50,
      minimumCalls: 4,
      resetTimeout: 60_000,
      window: 10_000,
    },
  },
);
for (let number = 1; number <= 4; number += 1) await bus.publish('invoice.created', { number });
await opened;
console.log('the circuit is open');

const { eventsRetried, handlerErrors } = bus.getStats();
console.log(`retried ${eventsRetried}, handler errors ${handlerErrors}`);
await bus.disconnect();
console.log('ok');
