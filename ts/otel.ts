/** `oxbus/otel`: spans and metrics of a bus by OpenTelemetry. */

import { metrics, trace } from '@opentelemetry/api';
import type { EventBusClient } from '../index';
import type { BusInstrumentation, OtelOptions } from '../otel';
import { stackFromCaller } from './caller-stacks';
import { internalsOf } from './client/internals';
import { invalidAt } from './errors';
import { readOptions } from './input/options';
import { Meters } from './otel/meters';
import { Spans } from './otel/spans';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const SCOPE = 'oxbus';

export function instrument<Events, Received>(
  bus: EventBusClient<Events, Received>,
  options?: OtelOptions,
): BusInstrumentation {
  try {
    return start(bus as unknown as EventBusClient, options);
  } catch (error) {
    throw stackFromCaller(error, instrument);
  }
}

function start(bus: EventBusClient, options: unknown): BusInstrumentation {
  const given = readOptions(options, ['tracerProvider', 'meterProvider', 'parent', 'baggage']);
  const { parent = 'child', baggage = false } = given;
  if (parent !== 'child' && parent !== 'link') {
    throw invalidAt(OPTIONS, 'parent', "must be 'child' or 'link'");
  }
  if (typeof baggage !== 'boolean') throw invalidAt(OPTIONS, 'baggage', 'must be true or false');
  const instrumented = internalsOf(bus)?.instrumented;
  if (instrumented === undefined) throw invalidAt(OPTIONS, 'bus', 'must be an EventBusClient');
  if (instrumented.current !== undefined) {
    throw invalidAt(OPTIONS, 'bus', 'is instrumented already');
  }
  const { tracerProvider, meterProvider } = given as OtelOptions;
  const tracer = (tracerProvider ?? trace).getTracer(SCOPE);
  const meters = new Meters((meterProvider ?? metrics).getMeter(SCOPE), bus);
  const spans = new Spans(tracer, meters, { isChild: parent === 'child', baggage });
  instrumented.replace(spans);
  return {
    disable: () => {
      if (instrumented.current !== spans) return;
      instrumented.replace(undefined);
      meters.close();
    },
    stats: () => ({
      invalidContexts: spans.invalidContexts,
      baggageDropped: spans.baggageDropped,
    }),
  };
}
