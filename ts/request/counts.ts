/** What a client counts of requests. */

import type { RequestStats } from '../../index';

export class RequestCounts implements RequestStats {
  requestsSent = 0;
  requestsHandled = 0;
  requestsRefused = 0;
  requestsTimedOut = 0;
  repliesLate = 0;
  repliesUndelivered = 0;
  /** Events on the channels of requests that say nothing about one. */
  foreign = 0;

  /** As `getStats` tells them. */
  get stats(): RequestStats {
    const { foreign, ...stats } = this;
    return stats;
  }

  /** As Prometheus reads them; nothing while there was no request. */
  get metrics(): string {
    if (Object.values(this).every((count) => count === 0)) return '';
    return METRICS.map(
      ([key, name, help]) =>
        `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name} ${this[key]}\n`,
    ).join('');
  }
}

const METRICS: readonly (readonly [keyof RequestStats, name: string, help: string])[] = [
  ['requestsSent', 'oxbus_requests_sent_total', 'Requests sent to a responder.'],
  ['requestsHandled', 'oxbus_requests_handled_total', 'Requests whose handler was called.'],
  ['requestsRefused', 'oxbus_requests_refused_total', 'Requests refused without a handler call.'],
  ['requestsTimedOut', 'oxbus_requests_timed_out_total', 'Requests without a reply in time.'],
  ['repliesLate', 'oxbus_replies_late_total', 'Replies that nobody waited for any more.'],
  [
    'repliesUndelivered',
    'oxbus_replies_undelivered_total',
    'Replies that could not be sent, or that nobody received.',
  ],
];
