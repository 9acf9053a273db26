/** The SDK of OpenTelemetry in a test: an exporter in memory, and the global providers while the tests of a file run. */

import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

export const tracer = provider.getTracer('test');

/** To be called once in a file. */
export function useOpenTelemetry(): void {
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    trace.setGlobalTracerProvider(provider);
  });
  afterEach(() => exporter.reset());
  afterAll(() => {
    context.disable();
    trace.disable();
  });
}

export const spans = () => exporter.getFinishedSpans();
export const named = (name: string): ReadableSpan[] => spans().filter((span) => span.name === name);
