/** Metrics of a client by a meter of OpenTelemetry. */

import type { Attributes, BatchObservableCallback, Meter, Observable } from '@opentelemetry/api';
import type { EventBusClient, Stats } from '../../index';

/** The counters of the client that a meter observes. */
const COUNTERS = {
  eventsReceived: 'oxbus.events.received',
  eventsDelivered: 'oxbus.events.delivered',
  eventsFailed: 'oxbus.events.failed',
  eventsRetried: 'oxbus.events.retried',
  eventsDeadLettered: 'oxbus.events.dead_lettered',
  eventsDropped: 'oxbus.events.dropped',
  eventsLost: 'oxbus.events.lost',
  reconnections: 'oxbus.reconnections',
} as const satisfies Partial<Record<keyof Stats, string>>;

/** In seconds, as the conventions advise. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

type Bus = Pick<EventBusClient, 'getStats'>;

export class Meters {
  readonly #meter: Meter;
  readonly #published: (seconds: number, attributes: Attributes) => void;
  readonly #processed: (seconds: number, attributes: Attributes) => void;
  readonly #observe: BatchObservableCallback;
  readonly #observed: Observable[];

  constructor(meter: Meter, bus: Bus) {
    this.#meter = meter;
    const options = { unit: 's', advice: { explicitBucketBoundaries: BOUNDARIES } };
    const publish = meter.createHistogram('messaging.client.operation.duration', options);
    const process = meter.createHistogram('messaging.process.duration', options);
    const sent = meter.createCounter('messaging.client.sent.messages', { unit: '{message}' });
    this.#published = (seconds, attributes) => {
      publish.record(seconds, attributes);
      sent.add(1, attributes);
    };
    this.#processed = (seconds, attributes) => process.record(seconds, attributes);
    const counters = Object.entries(COUNTERS).map(
      ([key, name]) => [key as keyof typeof COUNTERS, meter.createObservableCounter(name)] as const,
    );
    this.#observed = counters.map(([, counter]) => counter);
    this.#observe = (result) => {
      const stats = bus.getStats();
      for (const [key, counter] of counters) result.observe(counter, stats[key]);
    };
    meter.addBatchObservableCallback(this.#observe, this.#observed);
  }

  published(seconds: number, attributes: Attributes): void {
    this.#published(seconds, attributes);
  }

  processed(seconds: number, attributes: Attributes): void {
    this.#processed(seconds, attributes);
  }

  close(): void {
    this.#meter.removeBatchObservableCallback(this.#observe, this.#observed);
  }
}
