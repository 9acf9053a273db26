/** Contexts of OpenTelemetry that hold a span. */

import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';

/** Under which key the API keeps the span of a context: it says so to whoever keeps it. */
function spanKey(): symbol {
  let key: symbol | undefined;
  const probe: Context = {
    getValue: () => undefined,
    setValue(given) {
      key = given;
      return ROOT_CONTEXT;
    },
    deleteValue: () => ROOT_CONTEXT,
  };
  trace.setSpan(probe, trace.wrapSpanContext({ traceId: '', spanId: '', traceFlags: 0 }));
  if (key === undefined) throw new Error('the API of OpenTelemetry has set no span');
  return key;
}

const SPAN = spanKey();

/**
 * What `trace.setSpan(under, span)` is. Each context of the API copies the map of the one under it and makes three functions, and a
 * handled event needs two of them.
 */
export class SpanScope implements Context {
  readonly #span: Span;
  /** The context without the span. */
  readonly under: Context;

  constructor(span: Span, under: Context) {
    this.#span = span;
    this.under = under;
  }

  getValue(key: symbol): unknown {
    return key === SPAN ? this.#span : this.under.getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return key === SPAN
      ? new SpanScope(value as Span, this.under)
      : new SpanScope(this.#span, this.under.setValue(key, value));
  }

  deleteValue(key: symbol): Context {
    const under = this.under.deleteValue(key);
    return key === SPAN ? under : new SpanScope(this.#span, under);
  }
}
