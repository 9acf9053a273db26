/** The events that a manager publishes about its own bus: `system.initialized`, `system.status`, `system.shutdown`. */

import type { EventBusClient, ManagerPublishOptions, PublishOptions } from '../../index';
import { invalidAt } from '../errors';
import { callOutside } from '../handle/current-event';
import { clearTimeout, setTimeout } from '../runtime/clock';

const CODE = 'ERR_BUS_INVALID_CONFIG';
const STATUS_INTERVAL = 60_000;
/** The longest time that a timer of Node can hold, in ms. */
const MAX_INTERVAL = 2 ** 31 - 1;

type Options = PublishOptions & ManagerPublishOptions;

/** How often the status is published, in ms (0: never), and whether others get it. */
export interface StatusPlan {
  interval: number;
  everywhere: boolean;
}

/** Reads `statusInterval` and `statusEverywhere`. Throws `INVALID_CONFIG`. */
export function readStatusPlan(interval: unknown, everywhere: unknown): StatusPlan {
  if (everywhere !== undefined && typeof everywhere !== 'boolean') {
    throw invalidAt(CODE, 'statusEverywhere', 'must be a boolean');
  }
  const plan = { interval: STATUS_INTERVAL, everywhere: everywhere === true };
  if (interval === undefined) return plan;
  const fits = Number.isInteger(interval) && (interval as number) >= 0;
  if (!fits || (interval as number) > MAX_INTERVAL) {
    throw invalidAt(CODE, 'statusInterval', `must be an integer from 0 to ${MAX_INTERVAL}`);
  }
  return { ...plan, interval: interval as number };
}

export class SystemEvents {
  readonly #client: EventBusClient;
  readonly #plan: StatusPlan;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(client: EventBusClient, plan: StatusPlan) {
    this.#client = client;
    this.#plan = plan;
  }

  /** Told that the bus is connected. */
  begin(): void {
    if (this.#ended) return;
    this.#publish('system.initialized');
    this.#schedule();
  }

  /** Told that the bus is about to close. Resolves when that is published, after `limit` ms at the most. */
  async end(limit: number): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    if (limit >= 1) await this.#publish('system.shutdown', {}, { timeout: Math.floor(limit) });
  }

  #schedule(): void {
    const { interval, everywhere } = this.#plan;
    const { mode } = this.#client.toJSON();
    // Over plain Redis the status would reach all services, and no handler here while Redis is away.
    if (interval === 0 || (mode === 'redis' && !everywhere)) return;
    const options = mode === 'hybrid' && !everywhere ? { localOnly: true } : undefined;
    this.#timer = setTimeout(() => {
      this.#publish('system.status', this.#status(), options);
      this.#schedule();
    }, interval);
    this.#timer.unref();
  }

  #status(): object {
    const { mode, uptime, eventsPublished, eventsReceived, activeSubscriptions, errorRate } =
      this.#client.getStats();
    return { mode, uptime, eventsPublished, eventsReceived, activeSubscriptions, errorRate };
  }

  /** Never rejects: the client's own events tell of a failure. */
  async #publish(type: string, more?: object, options?: Options): Promise<void> {
    const data = { ...this.#client.toJSON(), ...more };
    // It belongs to nobody: not to the event, or the request, that has used the bus first.
    const published = callOutside(() => this.#client.publish(type, data, options));
    await published.catch(() => {});
  }
}
