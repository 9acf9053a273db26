/** What a handler counts. */

import type { HttpStats } from '../../http';

export class Counters implements HttpStats {
  requests = 0;
  denied = 0;
  refused = 0;
  bodiesAborted = 0;
  bodiesOpen = 0;
  streamsOpen = 0;
  streamsOpened = 0;
  slowClientsDropped = 0;
  eventsSent = 0;
  gaps = 0;
}

const METRICS: readonly [keyof HttpStats, string, 'counter' | 'gauge', string][] = [
  ['requests', 'requests_total', 'counter', 'Requests for a route of the bus.'],
  ['denied', 'denied_total', 'counter', 'Requests that were not allowed.'],
  ['refused', 'refused_total', 'counter', 'Requests beyond a bound.'],
  ['bodiesAborted', 'bodies_aborted_total', 'counter', 'Bodies too large, too slow or cut off.'],
  ['bodiesOpen', 'bodies_open', 'gauge', 'Bodies that are being read.'],
  ['streamsOpen', 'streams_open', 'gauge', 'Open streams of server-sent events.'],
  ['streamsOpened', 'streams_opened_total', 'counter', 'Streams of server-sent events.'],
  ['slowClientsDropped', 'slow_clients_dropped_total', 'counter', 'Streams of slow clients.'],
  ['eventsSent', 'events_sent_total', 'counter', 'Events sent, once for each client.'],
  ['gaps', 'gaps_total', 'counter', 'Notices of gaps, once for each client.'],
];

/** The counters in the text format of Prometheus. */
export function metricsText(stats: HttpStats): string {
  return METRICS.map(([key, name, kind, help]) => {
    const full = `oxbus_http_${name}`;
    return `# HELP ${full} ${help}\n# TYPE ${full} ${kind}\n${full} ${stats[key]}\n`;
  }).join('');
}
