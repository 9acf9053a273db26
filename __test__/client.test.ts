import { ERROR_CODES, EventBusClient } from '..';
import { eventually, Gate } from './support/eventually';
import { keepingLogger, onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  test('the states of a life', async () => {
    const bus = fixture.create();
    expect(bus.state).toBe('idle');
    expect(bus.isConnected()).toBe(false);
    const names: string[] = [];
    bus.on('ready', () => names.push('ready'));
    bus.on('closed', () => names.push('closed'));
    await Promise.all([bus.connect(), bus.connect(), bus.waitUntilReady()]);
    expect(bus.state).toBe('ready');
    expect(bus.isConnected()).toBe(true);
    const ending = bus.disconnect();
    expect(bus.close()).toBe(ending);
    await ending;
    expect(bus.state).toBe('closed');
    expect(names).toEqual(['ready', 'closed']);
  });

  test('a closed client refuses everything and stays closed', async () => {
    const bus = await fixture.open();
    await bus.disconnect();
    for (const call of [
      () => bus.connect(),
      () => bus.waitUntilReady(),
      () => bus.publish('a', 1),
      () => bus.broadcast('a', 1),
      () => bus.subscribe('a', () => {}),
      () => bus.events('a').next(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_BUS_CLOSED', retryable: false });
    }
    expect((await bus.healthCheck()).status).toBe('unhealthy');
    expect(await bus.unsubscribe('x')).toBe(false);
    expect(bus.subscriberCount()).toBe(0);
    expect(bus.getStats()).toMatchObject({ eventsPublished: 0, inFlight: 0 });
  });

  test('a client that was never connected closes too', async () => {
    const bus = fixture.create();
    await bus[Symbol.asyncDispose]();
    expect(bus.state).toBe('closed');
  });

  test('disconnect flushes publishes and lets running handlers finish', async () => {
    const [bus, other] = [await fixture.open(), await fixture.open()];
    const seen: unknown[] = [];
    await other.subscribe('late', (event) => seen.push(event.data));
    const gate = new Gate();
    const started = new Gate();
    let finished = false;
    await bus.subscribe('a', async () => {
      started.open();
      await gate.opened;
      finished = true;
    });
    await bus.publish('a', 1);
    await started.opened;
    const published = bus.publish('late', 1);
    const ending = bus.disconnect();
    await published;
    expect(finished).toBe(false);
    gate.open();
    await ending;
    expect(finished).toBe(true);
    await eventually(() => seen.length === 1);
  });

  test('disconnect aborts what does not end in time', async () => {
    const bus = await fixture.open();
    const started = new Gate<AbortSignal>();
    await bus.subscribe('a', (_, ctx) => {
      started.open(ctx.signal);
      return new Promise(() => {});
    });
    await bus.publish('a', 1);
    const signal = await started.opened;
    await bus.disconnect({ timeout: 30 });
    expect(signal.aborted).toBe(true);
  });

  test('options of the lifecycle are checked', async () => {
    const bus = await fixture.open();
    for (const options of [{ timeOut: 1 }, { timeout: -1 }, { timeout: '1' }, 5]) {
      const refused = { code: 'ERR_BUS_INVALID_OPTIONS' };
      await expect(bus.connect(options as never)).rejects.toMatchObject(refused);
      await expect(bus.waitUntilReady(options as never)).rejects.toMatchObject(refused);
      await expect(bus.disconnect(options as never)).rejects.toMatchObject(refused);
    }
    expect(bus.state).toBe('ready');
  });

  test('statistics count what happened', async () => {
    const bus = await fixture.open();
    let delivered = 0;
    await bus.subscribe('a.*', () => {
      delivered += 1;
    });
    await bus.subscribe(
      'a.x',
      () => {
        throw new Error('x');
      },
      { retryOnError: false },
    );
    for (let n = 0; n < 5; n += 1) await bus.publish('a.x', n);
    await eventually(() => {
      const stats = bus.getStats();
      return stats.eventsDelivered === 5 && stats.eventsFailed === 5;
    });
    expect(delivered).toBe(5);
    const stats = bus.getStats();
    expect(stats).toMatchObject({
      eventsPublished: 5,
      eventsRetried: 0,
      eventsDropped: 0,
      handlerErrors: 5,
      activeSubscriptions: 2,
      patternSubscriptions: 1,
      inFlight: 0,
      errorRate: 0.5,
      mode: fixture.transport === 'memory' ? 'memory' : 'redis-only',
    });
    for (const key of ['p50', 'p95', 'p99', 'max'] as const) {
      expect(stats.latency[key]).toBeGreaterThanOrEqual(0);
      expect(stats.handlerDuration[key]).toBeGreaterThanOrEqual(0);
    }
    expect(stats.uptime).toBeGreaterThan(0);
    expect(stats.messagesPerSecond).toBeGreaterThan(0);
  });

  test('health of a ready client', async () => {
    const bus = await fixture.open();
    await bus.subscribe('a', () => {});
    const health = await bus.healthCheck();
    expect(health).toMatchObject({
      status: 'healthy',
      mode: fixture.transport === 'memory' ? 'memory' : 'redis-only',
      warnings: expect.any(Array),
      state: 'ready',
      connections: expect.any(Object),
      eventLoop: { blockedMs: expect.any(Number) },
    });
    if (fixture.transport === 'redis') {
      expect(health.redis).toMatchObject({ connected: true, role: 'master' });
      const links = Object.values(health.connections);
      expect(links.length).toBeGreaterThan(0);
      for (const link of links) expect(link).toMatchObject({ status: 'up', error: null });
      expect(health.latency).toBeGreaterThan(0);
    } else {
      expect(health).toMatchObject({ redis: null, latency: null });
    }
    await bus.disconnect();
    const last = await bus.healthCheck();
    const redis = fixture.transport === 'redis' ? { connected: false } : null;
    expect(last).toMatchObject({ status: 'unhealthy', latency: null });
    expect(last.redis).toEqual(redis);
  });

  test('a blocked event loop is told of, and stays in the report for a while', async () => {
    const bus = await fixture.open();
    const told = new Promise<string>((resolve) =>
      bus.on('warning', ({ code, message }) => {
        if (code === 'EVENT_LOOP_BLOCKED') resolve(message);
      }),
    );
    // Its answer comes from another thread, and has to wait.
    const asked = bus.healthCheck();
    const until = performance.now() + 1_200;
    while (performance.now() < until);
    await asked;
    expect(await told).toMatch(/for 1[1-9]\d\d ms|for [2-9]\d\d\d ms/);
    const { status, eventLoop, warnings } = await bus.healthCheck();
    expect(status).toBe('healthy');
    expect(eventLoop.blockedMs).toBeGreaterThan(1_100);
    expect(warnings.map(({ code }) => code)).toContain('EVENT_LOOP_BLOCKED');
  });

  test('subscriptions of this client are counted', async () => {
    const bus = await fixture.open();
    const other = await fixture.open();
    const confirmed = bus.subscribe('a.b', () => {});
    expect(bus.subscriberCount()).toBe(0);
    const first = await confirmed;
    await bus.subscribe(['a.b', 'c.*'], () => {});
    await other.subscribe('a.b', () => {});
    first.pause();
    expect(bus.subscriberCount()).toBe(2);
    expect(bus.subscriberCount('a.b')).toBe(2);
    expect(bus.subscriberCount('c.*')).toBe(1);
    expect(bus.subscriberCount('a.*')).toBe(0);
    const events = bus.events('a.b');
    await events.ready();
    expect(bus.subscriberCount('a.b')).toBe(3);
    await events.return();
    await first.unsubscribe();
    expect(bus.subscriberCount('a.b')).toBe(1);
    await bus.disconnect();
    expect(bus.subscriberCount()).toBe(0);
  });

  test('logs are structured, named and filtered by level', async () => {
    const logger = keepingLogger();
    const bus = await fixture.open({ logger, logLevel: 'info', serviceName: 'api' });
    await bus.disconnect();
    expect(logger.lines.map((line) => line.message)).toEqual(
      expect.arrayContaining(['ready', 'closed']),
    );
    for (const line of logger.lines) {
      expect(line.level).not.toBe('debug');
      expect(line.fields).toMatchObject({ service: 'api' });
    }
  });

  test('pino gets the fields first; a logger that throws does no harm', async () => {
    const calls: unknown[][] = [];
    const take = (...args: unknown[]) => {
      calls.push(args);
      throw new Error('a broken logger');
    };
    const pino = { debug: take, info: take, warn: take, error: take, bindings: () => ({}) };
    const bus = await fixture.open({ logger: pino, logLevel: 'info' });
    await bus.disconnect();
    expect(calls.length).toBeGreaterThan(0);
    expect(calls[0]).toEqual([expect.any(Object), expect.any(String)]);
  });

  test('an error without a listener is logged', async () => {
    const logger = keepingLogger();
    const bus = await fixture.open({ logger });
    await bus.subscribe(
      'a',
      () => {
        throw new Error('boom');
      },
      { retryOnError: false },
    );
    await bus.publish('a', 1);
    await eventually(() =>
      logger.lines.some((line) => line.level === 'error' && line.message.includes('boom')),
    );
  });
});

test('the list of codes is that of the engine', () => {
  const { errorCodes } = require('../native.js');
  expect(JSON.parse(errorCodes()).map(([code]: [string]) => code)).toEqual(ERROR_CODES);
});

test('clients with the same memory name share a broker, gone with the last of them', async () => {
  const open = (memory: string) =>
    new EventBusClient({ mode: 'memory', memory, logLevel: 'error' });
  const [a, b, stranger] = [open('one'), open('one'), open('two')];
  const seen: string[] = [];
  await b.subscribe('x', () => seen.push('b'));
  await stranger.subscribe('x', () => seen.push('stranger'));
  await a.publish('x', 1);
  await eventually(() => seen.length === 1);
  expect(seen).toEqual(['b']);
  await Promise.all([a, b, stranger].map((client) => client.disconnect()));
});
