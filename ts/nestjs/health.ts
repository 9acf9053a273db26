/** `OxbusHealthIndicator`: the health report of a bus, for `@nestjs/terminus`. */

import type { EventBusClient } from '../../index';
import type { BusHealthResult, HealthCheckOptions } from '../../nestjs';
import { readOptions } from '../input/options';
import { getBusToken, readName } from './tokens';

/** What of `ModuleRef` it asks. */
interface Providers {
  get(token: string, options: { strict: false }): unknown;
}

export class OxbusHealthIndicator {
  readonly #providers: Providers;

  constructor(providers: Providers) {
    this.#providers = providers;
  }

  /** Never rejects for what is wrong with the bus: the result says it, as terminus has it since version 11. */
  async isHealthy<const Key extends string>(
    key: Key,
    options?: HealthCheckOptions,
  ): Promise<BusHealthResult<Key>> {
    const { bus: name } = readOptions(options, ['bus']);
    const token = getBusToken(readName(name, 'bus'));
    const bus = this.#providers.get(token, { strict: false }) as EventBusClient;
    const report = await bus.healthCheck();
    const { status: health, ...rest } = report as { status: string } & Record<string, unknown>;
    const status = health === 'unhealthy' ? 'down' : 'up';
    return { [key]: { ...rest, status, health } } as unknown as BusHealthResult<Key>;
  }
}
