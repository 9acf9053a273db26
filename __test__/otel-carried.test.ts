/** What `oxbus/otel` carries in the metadata of events: trace contexts and baggage. */

import { context, propagation, trace } from '@opentelemetry/api';
import { AlwaysOffSampler, BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import type { EventBusClient } from '..';
import { instrument, type OtelOptions } from '../otel';
import { eventually } from './support/eventually';
import { named, spans, tracer, useOpenTelemetry } from './support/opentelemetry';
import { onBothTransports } from './support/transports';

useOpenTelemetry();

onBothTransports((fixture) => {
  let bus: EventBusClient;

  async function open(options?: OtelOptions) {
    bus = await fixture.open();
    return instrument(bus, options);
  }

  test('a trace context that is none is dropped and counted', async () => {
    const { stats } = await open();
    const bad = [
      'x',
      `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`,
      'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x',
      '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    ];
    const plain = await fixture.open();
    await bus.subscribe('a', () => {});
    for (const traceparent of bad) await plain.publish('a', 1, { traceparent });
    const later = '01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more';
    const tracestate = 'a=1,=,b=2';
    await plain.publish('a', 1, { traceparent: later, tracestate });
    await eventually(() => named('process a').length === 7);
    expect(stats()).toEqual({ invalidContexts: 6, baggageDropped: 0 });
    const parents = named('process a').map((span) => span.parentSpanContext);
    expect(parents.slice(0, 6)).toEqual(Array(6).fill(undefined));
    expect(parents[6]).toMatchObject({ spanId: 'b7ad6b7169203331', isRemote: true });
    expect(named('process a')[6]!.spanContext().traceState?.serialize()).toBe('a=1,b=2');
  });

  test('a context of the caller is left as it is', async () => {
    await open();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
    let seen: any;
    await bus.subscribe('a', ({ metadata }) => {
      seen = metadata.traceparent;
    });
    await bus.publish('a', 1, { traceparent });
    await eventually(() => seen === traceparent);
  });

  test('a request, its handler and its reply are of one trace, also where the request has waited', async () => {
    await open();
    const other = await fixture.open();
    instrument(other);
    const traces: unknown[] = [];
    const handler = async () => {
      await new Promise(setImmediate);
      traces.push(trace.getActiveSpan()?.spanContext().traceId);
    };
    await other.respond('a', handler, { concurrency: 1 });
    const asked = await Promise.all(
      ['asking one', 'asking two'].map((name) =>
        tracer.startActiveSpan(name, async (span) => {
          await bus.request('a', null);
          span.end();
          return span.spanContext().traceId;
        }),
      ),
    );
    expect(traces).toEqual(asked);
    await eventually(() => spans().filter(({ name }) => name.startsWith('process')).length === 4);
    for (const one of asked) {
      const own = spans().filter((span) => span.spanContext().traceId === one);
      expect(own.map(({ name }) => name).sort()).toEqual([
        expect.stringMatching(/^asking/),
        'process a',
        'process oxbus.reply',
        'publish user:{user}',
        'publish user:{user}',
      ]);
    }
  });

  test('the reply to a request whose handler is out of time is of its trace', async () => {
    await open();
    const other = await fixture.open();
    instrument(other);
    await other.respond('a', () => new Promise(() => {}), { timeout: 20 });
    const asked = await tracer.startActiveSpan('asking', async (span) => {
      await expect(bus.request('a', null)).rejects.toMatchObject({
        code: 'ERR_BUS_HANDLER_TIMEOUT',
      });
      span.end();
      return span.spanContext().traceId;
    });
    await eventually(() => named('process oxbus.reply').length === 1);
    expect(spans().map((span) => span.spanContext().traceId)).toEqual(spans().map(() => asked));
  });

  test('baggage goes along only on request', async () => {
    const { stats } = await open({ baggage: true });
    const seen: unknown[] = [];
    await bus.subscribe('a', (event) => {
      const entries = propagation.getActiveBaggage()?.getAllEntries();
      seen.push([event.metadata.baggage, entries?.map(([key, { value }]) => [key, value])]);
    });
    const send = (entries: Record<string, string>, options?: object) => {
      const own = Object.entries(entries).map(([key, value]) => [key, { value }]);
      const baggage = propagation.createBaggage(Object.fromEntries(own));
      return context.with(propagation.setBaggage(context.active(), baggage), () =>
        bus.publish('a', 1, options),
      );
    };
    await send({ tenant: 'a b,ü', k: '1' }, { metadata: { x: 1 } });
    await send({ tenant: 'x'.repeat(9000) });
    await send({});
    await eventually(() => seen.length === 3);
    expect(seen).toEqual([
      [
        'tenant=a%20b%2C%C3%BC,k=1',
        [
          ['tenant', 'a b,ü'],
          ['k', '1'],
        ],
      ],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    expect(stats().baggageDropped).toBe(1);
    const other = await fixture.open();
    instrument(other);
    const baggage = propagation.createBaggage({ secret: { value: '1' } });
    await context.with(propagation.setBaggage(context.active(), baggage), () =>
      other.publish('a', 1),
    );
    await eventually(() => seen.length === 4);
    expect(seen[3]).toEqual([undefined, undefined]);
  });

  test('what is not sampled is carried on as not sampled', async () => {
    const off = new BasicTracerProvider({ sampler: new AlwaysOffSampler() });
    await open({ tracerProvider: off });
    let seen: any;
    await bus.subscribe('a', ({ metadata }) => {
      seen = metadata.traceparent;
    });
    await bus.publish('a', 1);
    await eventually(() => seen !== undefined);
    expect(seen).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-00$/);
    expect(spans()).toEqual([]);
  });
});
