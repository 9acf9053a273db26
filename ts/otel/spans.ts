/** Spans around publishes and handler calls. */

import {
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { PublishResult } from '../../index';
import type {
  HandlerCall,
  HandlerOutcome,
  Instrumentation,
  PublishCall,
  TraceContext,
} from '../instrumentation';
import type { RawEvent } from '../native/native';
import { monotonic } from '../runtime/clock';
import { type Described, describeProcess, describePublish, errorType } from './attributes';
import { formatBaggage, parseBaggage } from './baggage';
import type { Meters } from './meters';
import { formatTraceContext, parseTraceContext } from './trace-context';

interface SpanOptions {
  /** Whether `process` is a child of `publish`; else only linked. */
  readonly isChild: boolean;
  readonly baggage: boolean;
}

interface OpenCall {
  readonly span: Span;
  readonly described: Described;
  readonly startedAt: number;
}

export class Spans implements Instrumentation {
  invalidContexts = 0;
  baggageDropped = 0;
  readonly #tracer: Tracer;
  readonly #meters: Meters;
  readonly #options: SpanOptions;
  readonly #open = new WeakMap<HandlerCall, OpenCall>();

  constructor(tracer: Tracer, meters: Meters, options: SpanOptions) {
    this.#tracer = tracer;
    this.#meters = meters;
    this.#options = options;
  }

  publish(
    call: PublishCall,
    run: (trace?: TraceContext) => Promise<PublishResult>,
  ): Promise<PublishResult> {
    const { name, span: attributes, metric } = describePublish(call);
    const startedAt = monotonic();
    const span = this.#tracer.startSpan(name, { kind: SpanKind.PRODUCER, attributes });
    // An async function would cost two promises more for each event, which the hooks of contexts see.
    return run(this.#carried(span)).then(
      (result) => {
        span.setAttribute('messaging.message.id', result.eventId);
        if (result.stream !== undefined) span.setAttribute('oxbus.stream', result.stream);
        this.#meters.published(secondsSince(startedAt), metric);
        span.end();
        return result;
      },
      (error: unknown) => {
        fail(span, error);
        const failed = { ...metric, 'error.type': errorType(error) };
        this.#meters.published(secondsSince(startedAt), failed);
        span.end();
        throw error;
      },
    );
  }

  handle(call: HandlerCall, run: () => unknown): unknown {
    const described = describeProcess(call);
    const { events, contexts } = this.#origins(call);
    const links: Link[] = contexts.map((origin) => ({ context: origin }));
    // The handler has no context but that of its event, whoever it was that drained the queue.
    let parent: Context = ROOT_CONTEXT;
    const [only] = contexts;
    // A replay is told by its place in a stream, which it has without a group.
    const isReplay = call.group === undefined && call.context.stream !== undefined;
    if (this.#options.isChild && events.length === 1 && only !== undefined && !isReplay) {
      parent = trace.setSpanContext(parent, only);
    }
    if (this.#options.baggage && events.length === 1) {
      const baggage = parseBaggage((events[0] as RawEvent).metadata.baggage);
      if (baggage !== undefined) parent = propagation.setBaggage(parent, baggage);
    }
    const { name, span: attributes } = described;
    const options = { kind: SpanKind.CONSUMER, attributes, links };
    const span = this.#tracer.startSpan(name, options, parent);
    this.#open.set(call, { span, described, startedAt: monotonic() });
    return context.with(trace.setSpan(parent, span), run);
  }

  handled(call: HandlerCall, outcome: HandlerOutcome): void {
    const open = this.#open.get(call);
    if (open === undefined) return;
    this.#open.delete(call);
    const { span, described, startedAt } = open;
    let { metric } = described;
    if (outcome.status === 'failed' || outcome.status === 'timed-out') {
      fail(span, outcome.error);
      span.setAttribute('oxbus.final', outcome.final);
      metric = { ...metric, 'error.type': errorType(outcome.error) };
    } else if (outcome.status === 'not-handled') {
      span.setAttribute('oxbus.handled', false);
    }
    this.#meters.processed(secondsSince(startedAt), metric);
    span.end();
  }

  /** What goes along with the event: the context of the span or, where nothing makes spans, the one around it. */
  #carried(span: Span): TraceContext | undefined {
    const own = span.spanContext();
    const carried = trace.isSpanContextValid(own) ? formatTraceContext(own) : undefined;
    if (!this.#options.baggage) return carried;
    const baggage = formatBaggage(propagation.getActiveBaggage());
    if (baggage === null) this.baggageDropped += 1;
    return typeof baggage === 'string' ? { ...carried, baggage } : carried;
  }

  #origins({ event }: HandlerCall) {
    const events = Array.isArray(event) ? event : [event];
    const contexts = [];
    for (const { metadata } of events) {
      if (metadata.traceparent === undefined) continue;
      const origin = parseTraceContext(metadata.traceparent, metadata.tracestate);
      if (origin === undefined) this.invalidContexts += 1;
      else contexts.push(origin);
    }
    return { events, contexts };
  }
}

function fail(span: Span, error: unknown): void {
  const exception = error instanceof Error ? error : String(error);
  span.recordException(exception);
  span.setAttribute('error.type', errorType(error));
  const message = exception instanceof Error ? exception.message : exception;
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

function secondsSince(startedAt: number): number {
  return (monotonic() - startedAt) / 1000;
}
