import { type BusEvent, EventBusError, ValidationError } from '..';
import { eventually } from './support/eventually';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  test('an event arrives as it was published, with its metadata filled in', async () => {
    const bus = await fixture.open({ serviceName: 'api' });
    const seen: BusEvent[] = [];
    await bus.subscribe('photo.uploaded', (event) => seen.push(event));
    const data = { photoId: '1', tags: ['é', '\u2028', '\n'], nested: { n: 1.5, none: null } };
    const result = await bus.publish('photo.uploaded', data);
    await eventually(() => seen.length === 1);
    expect(seen[0]).toEqual({
      id: result.eventId,
      type: 'photo.uploaded',
      data,
      metadata: {
        timestamp: result.timestamp,
        source: 'api',
        instanceId: bus.instanceId,
        correlationId: expect.any(String),
      },
    });
    expect(result).toMatchObject({ type: 'photo.uploaded', receivers: 1, local: 0 });
    expect(result.channel.endsWith('photo.uploaded')).toBe(true);
    expect(result.eventId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
    expect(new Date(result.timestamp).toISOString()).toBe(result.timestamp);
  });

  test('every option is carried', async () => {
    const bus = await fixture.open();
    const seen: BusEvent[] = [];
    await bus.subscribe('*', (event) => seen.push(event));
    const options = {
      id: 'my-id',
      timestamp: '2026-01-02T03:04:05.678Z',
      source: 'elsewhere',
      correlationId: 'corr',
      causationId: 'cause',
      userId: 'u',
      organizationId: 'o',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      key: 'k',
      metadata: { own: { deep: [1] } },
      timeout: 1000,
    };
    const result = await bus.publish('a', 1, options);
    expect(result).toMatchObject({ eventId: 'my-id', timestamp: options.timestamp });
    await eventually(() => seen.length === 1);
    expect(seen[0]?.metadata).toEqual({
      timestamp: options.timestamp,
      source: 'elsewhere',
      instanceId: bus.instanceId,
      correlationId: 'corr',
      causationId: 'cause',
      userId: 'u',
      organizationId: 'o',
      traceparent: options.traceparent,
      key: 'k',
      own: { deep: [1] },
    });
  });

  test('a Date or milliseconds are a timestamp too', async () => {
    const bus = await fixture.open();
    const at = new Date(1_700_000_000_123);
    for (const timestamp of [at, at.getTime(), at.toISOString()]) {
      expect((await bus.publish('a', 1, { timestamp })).timestamp).toBe(at.toISOString());
    }
  });

  test('events of one publisher arrive in order, across batches', async () => {
    const bus = await fixture.open();
    const seen: number[] = [];
    await bus.subscribe('n', (event) => seen.push(event.data));
    const numbers = Array.from({ length: 2000 }, (_, n) => n);
    await Promise.all(numbers.map((n) => bus.publish('n', n)));
    await eventually(() => seen.length === numbers.length);
    expect(seen).toEqual(numbers);
  });

  test('publishing and subscribing connect by themselves', async () => {
    const bus = fixture.create();
    expect(bus.state).toBe('idle');
    const seen: unknown[] = [];
    await bus.subscribe('a', (event) => seen.push(event.data));
    await bus.publish('a', 1);
    await eventually(() => seen.length === 1);
    expect(bus.isConnected()).toBe(true);
  });

  test('a batch settles each item by itself, in order', async () => {
    const bus = await fixture.open();
    const seen: BusEvent[] = [];
    await bus.subscribe('*', (event) => seen.push(event));
    const results = await bus.publishBatch(
      [
        { type: 'a', data: 1, id: 'first' },
        { type: 'bad type', data: 2 },
        { type: 'b', data: 1n },
        { type: 'c', data: 3, correlationId: 'own' },
      ],
      { correlationId: 'shared' },
    );
    expect(results.map((result) => result.status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    expect(results[0]).toMatchObject({ value: { eventId: 'first', type: 'a' } });
    expect(results[1]).toMatchObject({ reason: { code: 'ERR_BUS_INVALID_TYPE' } });
    expect(results[2]).toMatchObject({ reason: { code: 'ERR_BUS_INVALID_DATA' } });
    await eventually(() => seen.length === 2);
    expect(seen.map((event) => event.metadata.correlationId)).toEqual(['shared', 'own']);
    await expect(bus.publishBatch('no' as never)).rejects.toBeInstanceOf(ValidationError);
    expect(await bus.publishBatch([])).toEqual([]);
  });

  test('a broadcast reaches type patterns, and those of the broadcast channel', async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    await bus.subscribe('news.*', (_, ctx) => seen.push(`type ${ctx.attempt}`));
    await bus.subscribe('broadcast', () => seen.push('channel'));
    await bus.subscribe('other.*', () => seen.push('other'));
    const result = await bus.broadcast('news.today', { a: 1 });
    expect(result.channel.endsWith('broadcast')).toBe(true);
    await eventually(() => seen.length === 2);
    expect(seen.sort()).toEqual(['channel', 'type 1']);
  });

  test.each([
    ['', 'empty'],
    ['a b', 'a space'],
    ['é', 'not ASCII'],
    ['a\nb', 'a line break'],
    ['room:x', 'a room'],
    ['user:x', 'a user'],
    ['broadcast', 'reserved'],
    ['a'.repeat(257), 'too long'],
    [5 as never, 'not a text'],
  ])('the type %j is refused: %s', async (type) => {
    const bus = await fixture.open();
    const error = await bus.publish(type, 1).catch((e) => e);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_TYPE', retryable: false });
  });

  test.each<[string, object]>([
    ['an unknown key', { correlationID: 'x' }],
    ['what hybrid mode has', { localOnly: true }],
    ['an empty id', { id: '' }],
    ['a control character', { key: 'a\u0000' }],
    ['a long id', { id: 'x'.repeat(513) }],
    ['a bad timestamp', { timestamp: 'yesterday' }],
    ['a bad timeout', { timeout: -1 }],
    ['an audience', { audience: 'broadcast' }],
    ['a reserved metadata name', { metadata: { source: 'x' } }],
    ['a function', { metadata: { f() {} } }],
  ])('options are refused: %s', async (_, options) => {
    const bus = await fixture.open();
    await expect(bus.publish('a', 1, options)).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_OPTIONS',
    });
  });

  test('sizes are limited, and configurable', async () => {
    const bus = await fixture.open();
    await bus.publish('a', 'x'.repeat(524_286));
    await expect(bus.publish('a', 'x'.repeat(524_287))).rejects.toMatchObject({
      code: 'ERR_BUS_EVENT_TOO_LARGE',
    });
    const small = await fixture.open({ validation: { maxDataBytes: 10 } });
    await small.publish('a', '12345678');
    await expect(small.publish('a', '123456789')).rejects.toMatchObject({
      code: 'ERR_BUS_EVENT_TOO_LARGE',
    });
  });

  test('more in flight than allowed is refused at once', async () => {
    const bus = await fixture.open({ performance: { maxInFlight: 10 } });
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, n) => bus.publish('a', n)),
    );
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: 'ERR_BUS_QUEUE_FULL', outcome: 'not_sent' });
    }
    await bus.publish('a', 'again');
  });

  test('an aborted signal refuses a publish before it is sent', async () => {
    const bus = await fixture.open();
    const reason = new Error('changed my mind');
    const error = await bus
      .publish('a', 1, { signal: AbortSignal.abort(reason) })
      .catch((e) => e as EventBusError);
    expect(error).toMatchObject({ code: 'ERR_BUS_ABORTED', outcome: 'not_sent', cause: reason });
  });

  test('batchInterval gathers over ticks', async () => {
    const bus = await fixture.open({ performance: { batchInterval: 5 } });
    const seen: unknown[] = [];
    await bus.subscribe('a', (event) => seen.push(event.data));
    const first = bus.publish('a', 1);
    await new Promise((resolve) => setImmediate(resolve));
    const second = bus.publish('a', 2);
    await Promise.all([first, second]);
    await eventually(() => seen.length === 2);
  });

  test('a publish never throws synchronously', async () => {
    const bus = fixture.create();
    for (const call of [
      () => bus.publish(undefined as never, undefined),
      () => bus.publish('a', 1, 5 as never),
      () => bus.broadcast(1 as never, 1),
      () => bus.publishBatch(null as never),
    ]) {
      const promise = call();
      await expect(promise).rejects.toBeInstanceOf(EventBusError);
    }
  });
});

onBothTransports((fixture) => {
  test('a handler that damages its event harms nobody else', async () => {
    const bus = await fixture.open();
    const seen: unknown[] = [];
    await bus.subscribe('damaged', (event) => {
      delete (event as { metadata?: unknown }).metadata;
      (event as { id: unknown }).id = 1n;
      bus.publish('after', 'by the handler').catch((error) => seen.push(error));
    });
    await bus.subscribe('after', (event) => seen.push(event.data));
    await Promise.all([bus.publish('damaged', 1), bus.publish('after', 'by another')]);
    await eventually(() => seen.length === 2);
    expect(seen.sort()).toEqual(['by another', 'by the handler']);
  });

  test('a handler that disconnect waits for may publish', async () => {
    const bus = await fixture.open();
    const other = await fixture.open();
    const seen: unknown[] = [];
    await other.subscribe('result', (event) => seen.push(event.data));
    let started = false;
    let go: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    await bus.subscribe('work', async () => {
      started = true;
      await gate;
      await bus.publish('result', 'done');
    });
    await other.publish('work', 1);
    await eventually(() => started);
    const closed = bus.disconnect();
    go();
    await closed;
    await eventually(() => seen.length === 1);
    await expect(bus.publish('result', 'late')).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED' });
  });

  test('two calls that wait for each other to end both end', async () => {
    const bus = await fixture.open();
    let ended = 0;
    let calls = 0;
    const live = await bus.subscribe('stop', async () => {
      calls += 1;
      await eventually(() => calls === 2);
      await live.unsubscribe({ wait: true });
      ended += 1;
    });
    await bus.publishBatch([
      { type: 'stop', data: 1 },
      { type: 'stop', data: 2 },
    ]);
    await eventually(() => ended === 2);
  });
});

onBothTransports((fixture) => {
  test('deep nesting and halves of surrogate pairs arrive, through a filter too', async () => {
    const bus = await fixture.open();
    const seen: BusEvent[] = [];
    await bus.subscribe('odd', (event) => seen.push(event), { filter: { 'data.status': 'ok' } });
    let nested: unknown = 'core';
    for (let level = 0; level < 1000; level += 1) nested = [nested];
    const data = { status: 'ok', nested, half: 'cut \ud83d', z: 1, a: 2 };
    await bus.publish('odd', data);
    await eventually(() => seen.length === 1);
    expect(JSON.stringify(seen[0]?.data)).toBe(JSON.stringify(data));
  });
});
