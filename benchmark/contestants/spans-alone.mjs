import { SpanKind } from '@opentelemetry/api';
import { startTelemetry } from '../support/telemetry.mjs';

/** The span and the two metrics of a publish, without a bus: what the SDK of OpenTelemetry takes for itself. */
export function createBus() {
  const { tracerProvider, meterProvider } = startTelemetry();
  const tracer = tracerProvider.getTracer('benchmark');
  const meter = meterProvider.getMeter('benchmark');
  const duration = meter.createHistogram('messaging.client.operation.duration', { unit: 's' });
  const sent = meter.createCounter('messaging.client.sent.messages');
  const metric = {
    'messaging.system': 'oxbus',
    'messaging.operation.name': 'publish',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'photo.uploaded',
  };
  const attributes = { ...metric, 'oxbus.event.type': 'photo.uploaded' };
  return {
    async connect() {},
    async publish() {
      const startedAt = performance.now();
      const span = tracer.startSpan('publish', { kind: SpanKind.PRODUCER, attributes });
      span.spanContext();
      await undefined;
      span.setAttribute('messaging.message.id', '00000000-0000-4000-8000-000000000000');
      duration.record((performance.now() - startedAt) / 1000, metric);
      sent.add(1, metric);
      span.end();
    },
    async close() {},
  };
}
