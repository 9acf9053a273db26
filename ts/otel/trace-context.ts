/** W3C trace context in the metadata of events. */

import { createTraceState, type SpanContext } from '@opentelemetry/api';
import type { TraceContext } from '../instrumentation';

const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/** The context of a `traceparent`; undefined where it is none. */
export function parseTraceContext(
  traceparent: unknown,
  tracestate: unknown,
): SpanContext | undefined {
  const parts = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null;
  if (parts === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = parts as unknown as string[];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (ZEROS.test(traceId as string) || ZEROS.test(spanId as string)) return undefined;
  return {
    traceId: traceId as string,
    spanId: spanId as string,
    traceFlags: Number.parseInt(flags as string, 16),
    isRemote: true,
    // It leaves out what is no member of a trace state.
    ...(typeof tracestate === 'string' && { traceState: createTraceState(tracestate) }),
  };
}

export function formatTraceContext(context: SpanContext): TraceContext {
  const flags = (context.traceFlags & 0xff).toString(16).padStart(2, '0');
  const tracestate = context.traceState?.serialize();
  return {
    traceparent: `00-${context.traceId}-${context.spanId}-${flags}`,
    ...(tracestate !== undefined && tracestate !== '' && { tracestate }),
  };
}
