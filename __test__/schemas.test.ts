import { z } from 'zod';
import type { BusEvent } from '..';
import { eventually } from './support/eventually';
import { onBothTransports } from './support/transports';

const photo = z.object({ id: z.string(), size: z.coerce.number().default(1) });

onBothTransports((fixture) => {
  test('the output of a schema is what is published', async () => {
    const bus = await fixture.open({ schemas: { photo } });
    const seen: unknown[] = [];
    await bus.subscribe('*', (event) => seen.push(event.data));
    await bus.publish('photo', { id: '1', extra: true });
    await bus.publish('photo', { id: '2', size: '7' });
    await bus.publish('other', { anything: 1 });
    await eventually(() => seen.length === 3);
    expect(seen).toEqual([{ id: '1', size: 1 }, { id: '2', size: 7 }, { anything: 1 }]);
  });

  test('data that does not fit is refused with the issues as cause', async () => {
    const bus = await fixture.open({ schemas: { photo } });
    await expect(bus.publish('photo', { id: 5 })).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
      path: 'data.id',
      cause: expect.any(Array),
    });
  });

  test('an async schema delays only its own event', async () => {
    const slow = photo.refine(
      () => new Promise<boolean>((resolve) => setTimeout(resolve, 20, true)),
    );
    const bus = await fixture.open({ schemas: { slow } });
    const seen: string[] = [];
    await bus.subscribe('*', (event) => seen.push(event.type));
    await Promise.all([bus.publish('slow', { id: '1' }), bus.publish('fast', 1)]);
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(['fast', 'slow']);
  });

  test('validateOnReceive: what does not fit fails for good, unseen by the handler', async () => {
    const sender = await fixture.open();
    const bus = await fixture.open({ schemas: { photo }, validateOnReceive: true });
    const seen: BusEvent[] = [];
    const errors: unknown[] = [];
    bus.on('error', (error) => errors.push(error.cause));
    await bus.subscribe('photo', (event) => seen.push(event), { retryIf: () => true });
    await sender.publish('photo', { id: 5 });
    await sender.publish('photo', { id: '1' });
    await eventually(() => seen.length === 1 && errors.length === 1);
    expect(seen[0]?.data).toEqual({ id: '1', size: 1 });
    expect(errors[0]).toMatchObject({ code: 'ERR_BUS_INVALID_DATA' });
    expect(bus.getStats()).toMatchObject({ eventsFailed: 1, eventsRetried: 0 });
  });
});

test('what is not a schema is refused', () => {
  const { EventBusClient } = require('..');
  expect(() => new EventBusClient({ mode: 'memory', schemas: { a: {} } })).toThrow(
    expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG', path: 'schemas.a' }),
  );
});
