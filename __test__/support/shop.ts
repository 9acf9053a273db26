/** A shop that runs: a stream with two groups, some dead letters, and events that nobody has read. */

import type { EventBusClient as Client, RedisConfig } from '../../index';
import { EventBusClient, NonRetryableError } from '../../index.js';
import { eventually } from './eventually';

/** The guide shows it, so it is the same wherever the tests run. */
const STACK = `NonRetryableError: no such account
    at chargeAccount (/app/billing.js:41:11)
    at handle (/app/billing.js:17:9)`;

export class Shop {
  readonly bus: Client;

  /** Its stream is `orders`: `billing` gives up what has no account, `mailing` reads nothing. */
  static async open(redis: string | RedisConfig): Promise<Shop> {
    const bus = new EventBusClient({
      redis,
      serviceName: 'shop',
      logLevel: 'silent',
      streams: [{ name: 'orders', events: 'order.*', consumerGroups: ['billing', 'mailing'] }],
    });
    bus.on('error', () => {});
    const shop = new Shop(bus);
    await bus.subscribe('order.*', ({ data }) => shop.handle(data), {
      group: 'billing',
      consumer: 'billing-1',
    });
    return shop;
  }

  /** Whether orders without an account fail. */
  isBroken = true;
  handled = 0;

  private constructor(bus: Client) {
    this.bus = bus;
  }

  handle(data: { account?: string }): void {
    if (this.isBroken && data.account === undefined) {
      const error = new NonRetryableError('no such account');
      error.stack = STACK;
      throw error;
    }
    this.handled += 1;
  }

  /** Publishes orders and waits until they are handled, or given up. */
  async order(good: number, bad: number): Promise<void> {
    const before = this.bus.getStats();
    for (let n = 0; n < good; n += 1) {
      await this.bus.publish('order.paid', { orderId: `g${n}`, account: 'a' }, { id: `good-${n}` });
    }
    for (let n = 0; n < bad; n += 1) {
      await this.bus.publish('order.paid', { orderId: `b${n}` }, { id: `bad-${n}` });
    }
    await eventually(() => {
      const now = this.bus.getStats();
      expect(now.eventsDelivered - before.eventsDelivered).toBe(good);
      expect(now.eventsDeadLettered - before.eventsDeadLettered).toBe(bad);
    });
  }

  /** Resolves when `billing` has nothing left to do. */
  async settled(): Promise<void> {
    await eventually(async () => {
      const { groups } = await this.bus.streams.info('orders');
      const billing = groups.find(({ name }) => name === 'billing');
      expect(billing).toMatchObject({ pending: 0, lag: 0 });
    });
  }

  close(): Promise<void> {
    return this.bus.disconnect({ timeout: 1000 });
  }
}
