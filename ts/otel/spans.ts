/** Spans around publishes and handler calls. */

import {
  type Attributes,
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
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
  OpenPublish,
  PublishCall,
  TraceContext,
} from '../instrumentation';
import type { RawEvent } from '../native/native';
import { monotonic } from '../runtime/clock';
import { describeProcess, describePublish, errorType } from './attributes';
import { formatBaggage, parseBaggage } from './baggage';
import type { Meters } from './meters';
import { SpanScope } from './span-scope';
import { formatTraceContext, parseTraceContext } from './trace-context';

interface SpanOptions {
  /** Whether `process` is a child of `publish`; else only linked. */
  readonly isChild: boolean;
  readonly baggage: boolean;
}

/** What is remembered of a handler call. */
class ProcessSpan {
  readonly span: Span;
  readonly metric: Attributes;
  readonly startedAt: number;

  constructor(span: Span, metric: Attributes, startedAt: number) {
    this.span = span;
    this.metric = metric;
    this.startedAt = startedAt;
  }
}

export class Spans implements Instrumentation {
  /** Nothing of what it does with an end looks at the context. */
  readonly endsAnywhere = true;
  invalidContexts = 0;
  baggageDropped = 0;
  readonly #tracer: Tracer;
  readonly #meters: Meters;
  readonly #options: SpanOptions;

  constructor(tracer: Tracer, meters: Meters, options: SpanOptions) {
    this.#tracer = tracer;
    this.#meters = meters;
    this.#options = options;
  }

  publish(call: PublishCall): OpenPublish {
    const described = describePublish(call);
    const startedAt = monotonic();
    const { name, span: attributes } = described;
    const span = this.#tracer.startSpan(name, { kind: SpanKind.PRODUCER, attributes });
    return new PublishSpan(span, described.metric, startedAt, this.#meters, this.#carried(span));
  }

  handle(call: HandlerCall, run: () => unknown): unknown {
    const { event } = call;
    const { name, span: attributes, metric } = describeProcess(call);
    // The handler has no context but that of its event, whoever it was that drained the queue.
    let parent: Context = ROOT_CONTEXT;
    const links: Link[] = [];
    if (Array.isArray(event) && event.length > 1) {
      for (const one of event) this.#link(one, links);
    } else {
      const only: RawEvent = Array.isArray(event) ? event[0] : event;
      if (this.#options.baggage) parent = withBaggage(parent, only);
      const origin = this.#link(only, links);
      // A replay is told by its place in a stream, which it has without a group.
      const isReplay = call.group === undefined && call.context.stream !== undefined;
      if (this.#options.isChild && origin !== undefined && !isReplay) {
        parent = new SpanScope(trace.wrapSpanContext(origin), parent);
      }
    }
    const options = { kind: SpanKind.CONSUMER, attributes, links };
    const span = this.#tracer.startSpan(name, options, parent);
    call.remembered = new ProcessSpan(span, metric, monotonic());
    const under = parent instanceof SpanScope ? parent.under : parent;
    return context.with(new SpanScope(span, under), run);
  }

  handled(call: HandlerCall, outcome: HandlerOutcome): void {
    const open = call.remembered;
    if (!(open instanceof ProcessSpan)) return;
    const { span, startedAt } = open;
    let { metric } = open;
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

  /** Adds a link to the span that an event carries, if it carries one. Returns its context. */
  #link({ metadata }: RawEvent, links: Link[]): SpanContext | undefined {
    if (metadata.traceparent === undefined) return undefined;
    const origin = parseTraceContext(metadata.traceparent, metadata.tracestate);
    if (origin === undefined) this.invalidContexts += 1;
    else links.push({ context: origin });
    return origin;
  }
}

function withBaggage(parent: Context, { metadata }: RawEvent): Context {
  const baggage = parseBaggage(metadata.baggage);
  return baggage === undefined ? parent : propagation.setBaggage(parent, baggage);
}

class PublishSpan implements OpenPublish {
  readonly trace: TraceContext | undefined;
  readonly #span: Span;
  readonly #metric: Attributes;
  readonly #startedAt: number;
  readonly #meters: Meters;

  constructor(
    span: Span,
    metric: Attributes,
    startedAt: number,
    meters: Meters,
    trace: TraceContext | undefined,
  ) {
    this.#span = span;
    this.#metric = metric;
    this.#startedAt = startedAt;
    this.#meters = meters;
    this.trace = trace;
  }

  succeeded({ eventId, stream }: PublishResult): void {
    this.#span.setAttribute('messaging.message.id', eventId);
    if (stream !== undefined) this.#span.setAttribute('oxbus.stream', stream);
    this.#end(this.#metric);
  }

  failed(error: unknown): void {
    fail(this.#span, error);
    this.#end({ ...this.#metric, 'error.type': errorType(error) });
  }

  #end(metric: Attributes): void {
    this.#meters.published(secondsSince(this.#startedAt), metric);
    this.#span.end();
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
