/** W3C trace context in the metadata of events. */

import { createTraceState, type SpanContext } from '@opentelemetry/api';
import type { TraceContext } from '../instrumentation';

/** Nothing is captured: that would cost more than all else that is done here for an event. */
const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}(?:-.*)?$/;
/** As long as those of version 00 are. */
const LENGTH = 55;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
const SAMPLED = 1;

/** The context of a `traceparent`; undefined where it is none. */
export function parseTraceContext(
  traceparent: unknown,
  tracestate: unknown,
): SpanContext | undefined {
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return undefined;
  const version = traceparent.slice(0, 2);
  if (version === 'ff' || (version === '00' && traceparent.length > LENGTH)) return undefined;
  const traceId = traceparent.slice(3, 35);
  const spanId = traceparent.slice(36, 52);
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  const flags = traceparent.slice(53, LENGTH);
  const traceFlags = flags === '01' ? SAMPLED : Number.parseInt(flags, 16);
  if (typeof tracestate !== 'string') return { traceId, spanId, traceFlags, isRemote: true };
  // It leaves out what is no member of a trace state.
  const traceState = createTraceState(tracestate);
  return { traceId, spanId, traceFlags, isRemote: true, traceState };
}

export function formatTraceContext(context: SpanContext): TraceContext {
  const traceparent = `00-${context.traceId}-${context.spanId}-${flagsOf(context.traceFlags)}`;
  const tracestate = context.traceState?.serialize();
  if (tracestate === undefined || tracestate === '') return { traceparent };
  return { traceparent, tracestate };
}

function flagsOf(traceFlags: number): string {
  if (traceFlags === SAMPLED) return '01';
  return (traceFlags & 0xff).toString(16).padStart(2, '0');
}
