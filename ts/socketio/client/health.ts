/** The health and the metrics of a client of a hub. */

import type { ClientState, HealthReport, Stats } from '../../../index';
import { monotonic } from '../../runtime/clock';
import type { HubLink } from './link';
import type { HubSubscriptions } from './subscriptions';

/** The hub has this long to answer, in ms. */
const LIMIT = 1000;

/** Never rejects. */
export async function hubHealth(
  link: HubLink,
  { refused }: HubSubscriptions,
  state: ClientState,
): Promise<HealthReport> {
  const warnings: HealthReport['warnings'] = [];
  let latency: number | null = null;
  let isWell = state === 'ready';
  if (link.isConnected) {
    const begun = monotonic();
    try {
      const hub = (await link.ask('ping', [], { timeout: LIMIT })) as { state?: string } | null;
      latency = monotonic() - begun;
      if (hub?.state !== 'ready') {
        isWell = false;
        warnings.push({ code: 'NO_ANSWER', message: `the bus of the hub is ${hub?.state}` });
      }
    } catch (error) {
      isWell = false;
      warnings.push({ code: 'NO_REPORT', message: (error as Error).message });
    }
  }
  const { heardAt, lastError } = link;
  const error = lastError && { code: lastError.code, message: lastError.message };
  const isUp = latency !== null;
  return {
    status: !isUp ? 'unhealthy' : isWell && refused.size === 0 ? 'healthy' : 'degraded',
    state,
    mode: 'socket.io',
    latency,
    redis: null,
    connections: {
      hub: {
        status: isUp ? 'up' : link.isConnected ? 'stale' : 'down',
        lastRoundTripAge: heardAt === null ? null : Math.max(0, Date.now() - heardAt),
        error,
        refused: [...refused],
      },
    },
    streams: {},
    eventLoop: { blockedMs: 0 },
    warnings,
  };
}

/** In the text format of Prometheus. */
export function hubMetrics(stats: Stats, isConnected: boolean): string {
  const lines: string[] = [];
  const add = (name: string, type: 'counter' | 'gauge', value: number) =>
    lines.push(`# TYPE oxbus_hub_client_${name} ${type}`, `oxbus_hub_client_${name} ${value}`);
  add('connected', 'gauge', isConnected ? 1 : 0);
  add('published_total', 'counter', stats.eventsPublished);
  add('received_total', 'counter', stats.eventsReceived);
  add('delivered_total', 'counter', stats.eventsDelivered);
  add('failed_total', 'counter', stats.eventsFailed);
  add('dropped_total', 'counter', stats.eventsDropped);
  add('reconnections_total', 'counter', stats.reconnections);
  add('subscriptions', 'gauge', stats.activeSubscriptions);
  return `${lines.join('\n')}\n`;
}
