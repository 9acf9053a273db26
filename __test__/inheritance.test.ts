import type { BusEvent } from '..';
import { eventually } from './support/eventually';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  test('what a handler publishes inherits, before and after its awaits', async () => {
    const bus = await fixture.open();
    const got = new Map<string, BusEvent>();
    await bus.subscribe('*', async (event) => {
      got.set(`${event.type} ${event.data}`, event);
      if (event.type !== 'cause') return;
      await bus.publish('sync', event.data);
      await new Promise((resolve) => setTimeout(resolve, 1));
      await bus.publish('async', event.data);
    });
    await Promise.all([1, 2, 3].map((n) => bus.publish('cause', n, { correlationId: `c${n}` })));
    await eventually(() => got.size === 9);
    for (const n of [1, 2, 3]) {
      const causationId = got.get(`cause ${n}`)?.id;
      for (const type of ['sync', 'async']) {
        const { metadata } = got.get(`${type} ${n}`)!;
        expect(metadata).toMatchObject({ correlationId: `c${n}`, causationId });
      }
    }
  });

  test('options come first, strangers inherit nothing', async () => {
    const bus = await fixture.open();
    const got = new Map<string, BusEvent>();
    await bus.subscribe('*', (event) => {
      got.set(event.type, event);
      if (event.type === 'cause') void bus.publish('own', 1, { correlationId: 'own' });
    });
    await bus.publish('cause', 1, { correlationId: 'c' });
    await bus.publish('stranger', 1);
    await eventually(() => got.size === 3);
    expect(got.get('own')?.metadata).toMatchObject({
      correlationId: 'own',
      causationId: got.get('cause')?.id,
    });
    expect(got.get('stranger')?.metadata.causationId).toBeUndefined();
    expect(got.get('stranger')?.metadata.correlationId).not.toBe('c');
  });

  test('inherit: false turns it off', async () => {
    const bus = await fixture.open({ inherit: false });
    const got = new Map<string, BusEvent>();
    await bus.subscribe('*', async (event) => {
      got.set(event.type, event);
      if (event.type === 'cause') await bus.publish('effect', 1);
    });
    await bus.publish('cause', 1);
    await eventually(() => got.size === 2);
    expect(got.get('effect')?.metadata.causationId).toBeUndefined();
  });
});
