import { githubWebhooks } from '../../examples/quickstart/payloads.mjs';

/** What a small business event carries: 300 bytes as JSON, about 500 with the envelope. */
const small = {
  orderId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c07398f',
  customerId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c0739aa',
  status: 'shipped',
  total: 129.9,
  currency: 'EUR',
  items: [
    { sku: 'A-1001', quantity: 2, price: 39.95 },
    { sku: 'B-2002', quantity: 1, price: 50 },
  ],
  address: { street: 'Long Street 1', city: 'Springfield', country: 'XX' },
};

/**
 * Data that a task publishes in turn.
 * @param {'small' | 'github'} name
 * @returns {unknown[]}
 */
export function payloads(name) {
  return name === 'small' ? [small] : githubWebhooks().map(({ data }) => data);
}
