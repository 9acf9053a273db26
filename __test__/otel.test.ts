/** `oxbus/otel` with the SDK of OpenTelemetry and an exporter in memory. */

import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { type EventBusClient, NonRetryableError } from '..';
import { instrument, type OtelOptions } from '../otel';
import { eventually } from './support/eventually';
import { named, spans, tracer, useOpenTelemetry } from './support/opentelemetry';
import { runScript } from './support/scripts';
import { onBothTransports, onTransports } from './support/transports';

useOpenTelemetry();

const idOf = (span: ReadableSpan) => span.spanContext().spanId;
const traceOf = (span: ReadableSpan) => span.spanContext().traceId;
const linksOf = (span: ReadableSpan) => span.links.map((link) => link.context.spanId);

onBothTransports((fixture) => {
  let bus: EventBusClient;
  let count = 0;

  async function open(options?: OtelOptions) {
    count += 1;
    bus = await fixture.open({ streams: [{ name: `orders-${count}`, events: 'order.*' }] });
    return instrument(bus, options);
  }

  test('a publish and its handler are spans of one trace, and so is what follows', async () => {
    await open();
    let seen: any;
    await bus.subscribe('a', async () => {
      await new Promise((resolve) => setImmediate(resolve));
      await bus.publish('b', 2);
    });
    await bus.subscribe('b', (event) => {
      seen = event;
    });
    await tracer.startActiveSpan('request', async (span) => {
      await bus.publish('a', 1, { correlationId: 'c' });
      span.end();
    });
    await eventually(() => spans().length === 5);
    const one = (name: string) => {
      expect(named(name)).toHaveLength(1);
      return named(name)[0]!;
    };
    const chain = ['request', 'publish a', 'process a', 'publish b', 'process b'].map(one);
    expect(new Set(chain.map(traceOf)).size).toBe(1);
    expect(chain.map((span) => span.parentSpanContext?.spanId)).toEqual([
      undefined,
      ...chain.slice(0, -1).map(idOf),
    ]);
    const [, publish, process, next] = chain as [
      ReadableSpan,
      ReadableSpan,
      ReadableSpan,
      ReadableSpan,
    ];
    expect([publish.kind, process.kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER]);
    expect(linksOf(process)).toEqual([idOf(publish)]);
    const id = publish.attributes['messaging.message.id'];
    expect(publish.attributes).toEqual({
      'messaging.system': 'oxbus',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'a',
      'messaging.message.id': id,
      'oxbus.event.type': 'a',
    });
    expect(process.attributes).toEqual({
      'messaging.system': 'oxbus',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'a',
      'messaging.message.id': id,
      'messaging.message.conversation_id': 'c',
      'oxbus.event.type': 'a',
      'oxbus.attempt': 1,
    });
    expect(seen.metadata.traceparent).toBe(`00-${traceOf(next)}-${idOf(next)}-01`);
  });

  test('with links alone a handler begins a trace of its own', async () => {
    await open({ parent: 'link' });
    await bus.subscribe('a', () => {});
    await bus.publish('a', 1);
    await eventually(() => spans().length === 2);
    const [publish, process] = [named('publish a')[0]!, named('process a')[0]!];
    expect(process.parentSpanContext).toBeUndefined();
    expect(linksOf(process)).toEqual([idOf(publish)]);
  });

  test('a handler runs in the context of its event, not in that of the subscriber', async () => {
    await open();
    const seen: (string | undefined)[] = [];
    await tracer.startActiveSpan('subscriber', async (span) => {
      await bus.subscribe('a', async () => {
        seen.push(trace.getActiveSpan()?.spanContext().traceId);
        await new Promise((resolve) => setTimeout(resolve, 1));
        seen.push(trace.getActiveSpan()?.spanContext().traceId);
      });
      span.end();
    });
    await bus.publish('a', 1);
    await eventually(() => named('process a').length === 1);
    const id = traceOf(named('publish a')[0]!);
    expect(seen).toEqual([id, id]);
  });

  test('groups, retries, batches and failures', async () => {
    await open();
    await bus.subscribe(
      'order.a',
      (_, { attempt }) => {
        if (attempt === 1) throw new RangeError('not yet');
        if (attempt === 2) throw new NonRetryableError('never');
      },
      { group: 'g', retry: { initialDelay: 1, jitter: 'none' } },
    );
    const sizes: number[] = [];
    await bus.subscribe('order.b', (events) => sizes.push(events.length), {
      group: 'h',
      batch: { size: 3, wait: 5000 },
    });
    await bus.publish('order.a', 1);
    for (let n = 0; n < 3; n += 1) await bus.publish('order.b', n);
    await eventually(() => named('process order.a').length === 2 && sizes.length === 1);
    const [first, second] = named('process order.a') as [ReadableSpan, ReadableSpan];
    const stream = `orders-${count}`;
    expect(first.attributes).toMatchObject({
      'messaging.consumer.group.name': 'g',
      'oxbus.stream': stream,
      'oxbus.attempt': 1,
      'oxbus.final': false,
      'error.type': 'RangeError',
    });
    expect(first.status).toEqual({ code: SpanStatusCode.ERROR, message: 'not yet' });
    expect(first.events.map(({ name }) => name)).toEqual(['exception']);
    expect(second.attributes).toMatchObject({
      'oxbus.attempt': 2,
      'oxbus.final': true,
      'error.type': 'ERR_BUS_HANDLER_FAILED',
    });
    await eventually(() => named('process order.b').length === 1);
    const [batch] = named('process order.b') as [ReadableSpan];
    expect(batch.attributes).toMatchObject({ 'messaging.batch.message_count': 3 });
    expect(batch.parentSpanContext).toBeUndefined();
    expect(linksOf(batch)).toEqual(named('publish order.b').map(idOf));
    expect(named('publish order.a')[0]!.attributes['oxbus.stream']).toBe(stream);
    // A replay belongs to no trace that is over.
    await bus.replay({ pattern: 'order.a', handler: () => {} });
    const replayed = named('process order.a').at(-1)!;
    expect(replayed.parentSpanContext).toBeUndefined();
    expect(linksOf(replayed)).toEqual([idOf(named('publish order.a')[0]!)]);
  });

  test('a publish that fails', async () => {
    await open();
    await expect(bus.publish('a b', 1)).rejects.toMatchObject({ code: 'ERR_BUS_INVALID_TYPE' });
    const [span] = named('publish a b') as [ReadableSpan];
    expect(span.status.code).toBe(SpanStatusCode.ERROR);
    expect(span.attributes['error.type']).toBe('ERR_BUS_INVALID_TYPE');
  });

  test('rooms and users have names of spans that are few', async () => {
    await open();
    await bus.joinRoom('hall-7');
    await bus.subscribe('a', () => {});
    await bus.publishToRoom('hall-7', 'a', 1);
    await bus.publishToUser('ann', 'a', 1);
    await bus.broadcast('c', 1);
    await eventually(() => spans().length === 4);
    const names = spans().map(({ name }) => name);
    expect(names.sort()).toEqual([
      'process room:{room}',
      'publish broadcast',
      'publish room:{room}',
      'publish user:{user}',
    ]);
    expect(named('process room:{room}')[0]!.attributes).toMatchObject({
      'messaging.destination.name': 'room:hall-7',
      'messaging.destination.template': 'room:{room}',
    });
  });

  test('metrics by a meter', async () => {
    const memory = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({
      exporter: memory,
      exportIntervalMillis: 3_600_000,
    });
    const meterProvider = new MeterProvider({ readers: [reader] });
    const { disable } = await open({ meterProvider });
    await bus.subscribe('a', () => {
      throw new NonRetryableError('never');
    });
    await bus.subscribe('a', () => {});
    await bus.publish('a', 1);
    await eventually(() => bus.getStats().eventsDelivered === 1 && named('process a').length === 2);
    await reader.forceFlush();
    const metrics = memory
      .getMetrics()
      .at(-1)!
      .scopeMetrics.flatMap(({ metrics }) => metrics);
    const points = (name: string) =>
      metrics.find(({ descriptor }) => descriptor.name === name)!.dataPoints as any[];
    expect(points('messaging.client.sent.messages').map(({ value }) => value)).toEqual([1]);
    expect(points('messaging.client.operation.duration')[0].value.count).toBe(1);
    const processed = points('messaging.process.duration');
    expect(processed.map(({ attributes }) => attributes['error.type']).sort()).toEqual([
      'ERR_BUS_HANDLER_FAILED',
      undefined,
    ]);
    expect(points('oxbus.events.delivered').map(({ value }) => value)).toEqual([1]);
    disable();
    await meterProvider.shutdown();
  });

  test('it is switched on and off while the client runs', async () => {
    const { disable } = await open();
    expect(() => instrument(bus)).toThrow(expect.objectContaining({ path: 'bus' }));
    let release = () => {};
    let handled = 0;
    await bus.subscribe('a', () => {
      handled += 1;
      if (handled > 1) return undefined;
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    await bus.publish('a', 1);
    await eventually(() => handled === 1);
    disable();
    disable();
    let seen: any;
    await bus.subscribe('b', ({ metadata }) => {
      seen = metadata;
    });
    await bus.publish('b', 1);
    await eventually(() => seen !== undefined);
    expect(seen.traceparent).toBeUndefined();
    // A span that was open when it was switched off ends all the same.
    expect(spans().map(({ name }) => name)).toEqual(['publish a']);
    release();
    await eventually(() => named('process a').length === 1);
    instrument(bus);
    await bus.publish('a', 1);
    await eventually(() => named('process a').length === 2);
  });
});

onTransports(['redis'], (fixture) => {
  test('from one process to another', async () => {
    const bus = await fixture.open();
    instrument(bus);
    const other = `
      const api = require('@opentelemetry/api');
      const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
      const sdk = require('@opentelemetry/sdk-trace-base');
      const { instrument } = require(args[2]);
      api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
      const exporter = new sdk.InMemorySpanExporter();
      const spanProcessors = [new sdk.SimpleSpanProcessor(exporter)];
      api.trace.setGlobalTracerProvider(new sdk.BasicTracerProvider({ spanProcessors }));
      const bus = new oxbus.EventBusClient({ redis: args[0], channelPrefix: args[1], logLevel: 'error' });
      instrument(bus);
      const handled = new Promise((resolve) => {
        bus.subscribe('ask', async (event) => {
          await bus.publish('answer', event.data + 1);
          resolve();
        }).then(() => bus.publish('ready', 1));
      });
      await handled;
      await bus.disconnect();
      console.log(JSON.stringify(exporter.getFinishedSpans().map((span) => [
        span.name, span.spanContext().traceId, span.spanContext().spanId, span.parentSpanContext?.spanId ?? null,
      ])));`;
    const answered = new Promise<any>((resolve) => void bus.subscribe('answer', resolve));
    const ready = new Promise((resolve) => void bus.subscribe('ready', resolve));
    await eventually(() => bus.subscriptions().every(({ state }) => state === 'active'));
    const prefix = (await bus.publish('x', 1)).channel.slice(0, -1);
    const ended = runScript(other, [fixture.server!.url, prefix, require.resolve('../otel.js')]);
    await ready;
    await bus.publish('ask', 1);
    const event = await answered;
    const { out, code, err } = await ended;
    expect([code, err]).toEqual([0, '']);
    const theirs: string[][] = JSON.parse(out);
    const ask = named('publish ask')[0]!;
    const process = theirs.find(([name]) => name === 'process ask')!;
    const answer = theirs.find(([name]) => name === 'publish answer')!;
    expect(process.slice(1)).toEqual([traceOf(ask), process[2], idOf(ask)]);
    expect(answer.slice(1)).toEqual([traceOf(ask), answer[2], process[2]]);
    expect(event.metadata.traceparent).toBe(`00-${traceOf(ask)}-${answer[2]}-01`);
    await eventually(() => named('process answer').length === 1);
    expect(named('process answer')[0]!.parentSpanContext?.spanId).toBe(answer[2]);
  });
});

test('without an SDK nothing changes', async () => {
  const ended = await runScript(
    `const { instrument } = require(args[0]);
    const bus = new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error' });
    instrument(bus, { baggage: true });
    const seen = [];
    await bus.subscribe('a', (event) => seen.push(event.metadata));
    await bus.publish('a', 1);
    await bus.disconnect();
    console.log(seen.length, seen[0].traceparent, seen[0].baggage);`,
    [require.resolve('../otel.js')],
  );
  expect(ended).toMatchObject({ code: 0, err: '', out: '1 undefined undefined\n' });
});

test('wrong options are refused', () => {
  const { EventBusClient: Client } = require('..');
  const bus = new Client({ mode: 'memory', logLevel: 'silent' });
  for (const [options, path] of [
    [{ parents: 'link' }, 'parents'],
    [{ parent: 'none' }, 'parent'],
    [{ baggage: 1 }, 'baggage'],
  ] as const) {
    expect(() => instrument(bus, options as any)).toThrow(
      expect.objectContaining({ code: 'ERR_BUS_INVALID_OPTIONS', path }),
    );
  }
  expect(() => instrument({} as any)).toThrow(expect.objectContaining({ path: 'bus' }));
});
