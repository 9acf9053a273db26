/*
 * `oxbus/otel`: spans and metrics of a bus by OpenTelemetry. It needs `@opentelemetry/api`, which the service installs with its
 * SDK; a program that does not import this entry needs nothing and pays nothing.
 */

import type { MeterProvider, TracerProvider } from '@opentelemetry/api';
import type { EventBusClient } from './index';

/** Options of {@link instrument}. Unknown keys: `INVALID_OPTIONS`. */
export interface OtelOptions {
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Default: the global one. */
  readonly meterProvider?: MeterProvider | undefined;
  /**
   * What a span `process` is to the span `publish` of its event: `'child'`, the default, in the same trace and with a link as well, or
   * `'link'`, in a trace of its own. Batches and replays are always linked: their events belong to many traces.
   */
  readonly parent?: 'child' | 'link' | undefined;
  /**
   * Whether the baggage of the context is carried in `metadata.baggage`, at most 8192 bytes, and given to handlers; default false,
   * as it may hold what not every service should know.
   */
  readonly baggage?: boolean | undefined;
}

/** What {@link instrument} has put in place. */
export interface BusInstrumentation {
  /** Traces nothing that begins from here on; spans that are open end. Idempotent. */
  readonly disable: () => void;
  /** `invalidContexts`: received `traceparent` that are none, and were dropped. `baggageDropped`: baggage that was too large. */
  readonly stats: () => { invalidContexts: number; baggageDropped: number };
}

/**
 * From now on each publish of the client is a span `publish` (producer), and each handler call a span `process` (consumer), with the
 * attributes of the messaging conventions. The trace context goes along in `metadata.traceparent` and `tracestate`, unless the
 * caller gives another; the handler, and what it publishes, run in the context of its span. Also histograms of durations and
 * counters of the client, by the meter.
 *
 * @throws ValidationError `INVALID_OPTIONS`, also when the client is instrumented already.
 */
export declare function instrument<Events, Received>(
  bus: EventBusClient<Events, Received>,
  options?: OtelOptions,
): BusInstrumentation;
