// Testing a service with a bus whose clock the test moves: hours of retries take no time.

import assert from 'node:assert/strict';
import { createTestBus } from '../testing.js';

/** The service under test: bills orders, with a payment provider that may be down. */
async function startBilling(bus, provider) {
  await bus.subscribe(
    'order.placed',
    async (event) => {
      await provider.charge(event.data.total);
      await bus.publish('invoice.paid', { order: event.data.id });
    },
    {
      group: 'billing',
      maxRetries: 2,
      retry: { initialDelay: 60_000, maxDelay: 3_600_000, multiplier: 10, jitter: 'none' },
    },
  );
}

const streams = [{ name: 'orders', events: 'order.*' }];

await test('an order that is paid', async (bus) => {
  await startBilling(bus, { charge: async () => {} });
  const { eventId } = await bus.publish('order.placed', { id: 17, total: 9 });
  await bus.settled(); // no handler runs, nothing is on its way

  const [invoice] = bus.published('invoice.*');
  assert.deepEqual(invoice.data, { order: 17 });
  assert.equal(invoice.metadata.causationId, eventId);
});

await test('a provider that is down for a minute', async (bus) => {
  let down = true;
  const charge = async () => {
    if (down) throw new Error('503');
  };
  await startBilling(bus, { charge });
  await bus.publish('order.placed', { id: 18, total: 9 });
  await bus.settled();
  assert.equal(bus.published('invoice.*').length, 0);

  down = false;
  await bus.advance(59_999);
  assert.equal(bus.published('invoice.*').length, 0); // the retry is not due yet
  await bus.advance(1);
  assert.equal(bus.published('invoice.*').length, 1);
});

await test('a provider that stays down', async (bus) => {
  const charge = async () => {
    throw new Error('503');
  };
  await startBilling(bus, { charge });
  await bus.publish('order.placed', { id: 19, total: 9 });
  await bus.advance(24 * 3_600_000);

  const [letter] = await bus.deadLetters.list();
  assert.equal(letter.attempts, 3);
  assert.equal(letter.error.message, '503');
});

console.log('ok');

// What a test runner does; each test has a bus of its own.
async function test(name, body) {
  const bus = createTestBus({ serviceName: 'billing', streams, logLevel: 'error' });
  try {
    await body(bus);
    console.log(`passed: ${name}`);
  } finally {
    await bus.disconnect();
  }
}
