/** What a client of a hub counts. */

import type { Percentiles, Stats } from '../../../index';

/** The last so many durations are kept. */
const KEPT = 1024;

class Durations {
  readonly #kept: number[] = [];
  #next = 0;

  add(ms: number): void {
    this.#kept[this.#next] = ms;
    this.#next = (this.#next + 1) % KEPT;
  }

  get average(): number {
    const count = this.#kept.length;
    return count === 0 ? 0 : this.#kept.reduce((sum, ms) => sum + ms, 0) / count;
  }

  percentiles(): Percentiles {
    const sorted = this.#kept.toSorted((a, b) => a - b);
    const at = (part: number) => sorted[Math.ceil(sorted.length * part) - 1] ?? 0;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
  }
}

export class ClientCounters {
  published = 0;
  received = 0;
  delivered = 0;
  failed = 0;
  dropped = 0;
  zombies = 0;
  reconnections = 0;
  readonly latency = new Durations();
  readonly duration = new Durations();
  readonly #since = Date.now();
  /** Arrivals of the last seconds, by second. */
  readonly #arrivals: { second: number; count: number }[] = [];

  arrived(now: number): void {
    this.received += 1;
    const second = Math.floor(now / 1000);
    const slot = this.#arrivals[second % 11];
    if (slot?.second === second) slot.count += 1;
    else this.#arrivals[second % 11] = { second, count: 1 };
  }

  stats(now: {
    inFlight: number;
    activeSubscriptions: number;
    patternSubscriptions: number;
  }): Stats {
    const { delivered, failed } = this;
    const second = Math.floor(Date.now() / 1000);
    const recent = this.#arrivals.filter((slot) => slot && slot.second > second - 11);
    return {
      eventsPublished: this.published,
      eventsReceived: this.received,
      eventsDelivered: delivered,
      eventsFailed: failed,
      eventsRetried: 0,
      eventsDeadLettered: 0,
      deadLettersDropped: 0,
      eventsDropped: this.dropped,
      eventsLost: 0,
      eventsSkipped: 0,
      eventsForeign: 0,
      messagesRecovered: 0,
      claimsRenewed: 0,
      handlerErrors: failed,
      zombieHandlers: this.zombies,
      reconnections: this.reconnections,
      ...now,
      errorRate: failed === 0 ? 0 : failed / (delivered + failed),
      messagesPerSecond: recent.reduce((sum, { count }) => sum + count, 0) / 10,
      averageLatency: this.latency.average,
      latency: this.latency.percentiles(),
      handlerDuration: this.duration.percentiles(),
      mode: 'socket.io',
      uptime: Date.now() - this.#since,
      memory: 0,
      requests: {
        requestsSent: 0,
        requestsHandled: 0,
        requestsRefused: 0,
        requestsTimedOut: 0,
        repliesLate: 0,
        repliesUndelivered: 0,
      },
    };
  }
}
