/** `GET /health` and `GET /metrics`: how the bus is. */

import type { EventBusClient, HealthReport } from '../../index';
import { monotonic } from '../runtime/clock';
import type { Access } from './access';
import { type Answer, jsonAnswer, textAnswer } from './answer';
import { type Counters, metricsText } from './counters';
import type { Incoming } from './incoming';
import { Problem } from './problem';

/** For how long a report is given again, in ms: anybody may ask for the status. */
const FRESH = 500;

export class HealthRoute {
  readonly #bus: EventBusClient;
  readonly #access: Access;
  #report: Promise<HealthReport> | undefined;
  #until = 0;

  constructor(bus: EventBusClient, access: Access) {
    this.#bus = bus;
    this.#access = access;
  }

  async answer(incoming: Incoming): Promise<Answer> {
    // Restarting a process helps against nothing but a client that stays closed.
    if (incoming.query.has('live')) {
      const closed = this.#bus.state === 'closed';
      return jsonAnswer(closed ? 503 : 200, closed ? '{"status":"closed"}' : '{"status":"live"}');
    }
    const permission = await this.#access.ask(incoming, { name: 'health' });
    const report = await this.#ask();
    const shown = permission instanceof Problem ? { status: report.status } : report;
    return jsonAnswer(report.status === 'unhealthy' ? 503 : 200, JSON.stringify(shown));
  }

  /** One question at a time, however many ask. */
  #ask(): Promise<HealthReport> {
    if (this.#report !== undefined && monotonic() < this.#until) return this.#report;
    const report = this.#bus.healthCheck();
    this.#report = report;
    this.#until = Number.POSITIVE_INFINITY;
    const answered = () => {
      this.#until = monotonic() + FRESH;
    };
    void report.then(answered, answered);
    return report;
  }
}

export class MetricsRoute {
  readonly #bus: EventBusClient;
  readonly #access: Access;
  readonly #counters: Counters;

  constructor(bus: EventBusClient, access: Access, counters: Counters) {
    this.#bus = bus;
    this.#access = access;
    this.#counters = counters;
  }

  async answer(incoming: Incoming): Promise<Answer> {
    await this.#access.demand(incoming, { name: 'metrics' });
    const text = (await this.#bus.metrics()) + metricsText(this.#counters);
    return textAnswer(200, 'text/plain; version=0.0.4; charset=utf-8', text);
  }
}
