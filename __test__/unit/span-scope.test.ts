/** The contexts of a handled event are what the API of OpenTelemetry would have made. */

import {
  type Context,
  createContextKey,
  propagation,
  ROOT_CONTEXT,
  trace,
} from '@opentelemetry/api';
import { SpanScope } from '../../ts/otel/span-scope';

const spanOf = (digit: string) =>
  trace.wrapSpanContext({ traceId: digit.repeat(32), spanId: digit.repeat(16), traceFlags: 1 });
const [first, second] = [spanOf('1'), spanOf('2')] as const;
const key = createContextKey('own');
const baggage = propagation.createBaggage({ tenant: { value: 'acme' } });

/** What code of the user may do with its context, and what it then finds there. */
const uses: [string, (context: Context) => Context][] = [
  ['nothing', (context) => context],
  ['a value', (context) => context.setValue(key, 1)],
  ['a value and none', (context) => context.setValue(key, 1).deleteValue(key)],
  ['another span', (context) => trace.setSpan(context, second)],
  ['another span, and a value', (context) => trace.setSpan(context.setValue(key, 1), second)],
  ['no span', (context) => trace.deleteSpan(context)],
  ['no span, and a value', (context) => trace.deleteSpan(context).setValue(key, 1)],
  ['no baggage', (context) => propagation.deleteBaggage(context)],
];

test.each(uses)('%s', (_, use) => {
  for (const under of [ROOT_CONTEXT, propagation.setBaggage(ROOT_CONTEXT, baggage)]) {
    const [own, theirs] = [new SpanScope(first, under), trace.setSpan(under, first)];
    const found = (context: Context) => [
      trace.getSpan(context),
      propagation.getBaggage(context),
      context.getValue(key),
    ];
    expect(found(use(own))).toEqual(found(use(theirs)));
    // Nothing of it changed the one that it began with.
    expect(found(own)).toEqual([first, propagation.getBaggage(under), undefined]);
  }
});
