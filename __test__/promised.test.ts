/** What must be stored, and options that are given as `undefined` where that would change what a call means. */

import type { EventBusClient } from '..';
import { streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { rejection } from './support/rejection';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  test('what must be stored is refused where no stream stores it', async () => {
    const refused = { code: 'ERR_BUS_NO_STREAM', outcome: 'not_sent' };
    const orders = streamFor('order.*');
    const all = await fixture.open({ streams: [orders], durable: true });
    expect(await all.publish('order.paid', 1)).toMatchObject({ stream: orders.name });
    expect(await rejection(all.publish('mail.sent', 1))).toMatchObject(refused);
    await all.publish('mail.sent', 1, { durable: false });
    const some = await fixture.open({ streams: [orders], durable: ['mail.*'] });
    await some.publish('note', 1);
    expect(await rejection(some.publish('mail.sent', 1))).toMatchObject(refused);
    expect(await rejection(some.publish('note', 1, { durable: true }))).toMatchObject(refused);
    const [first, second] = await some.publishBatch([
      { type: 'order.paid', data: 1 },
      { type: 'mail.sent', data: 1 },
    ]);
    expect(first).toMatchObject({ status: 'fulfilled' });
    expect(second).toMatchObject({ status: 'rejected', reason: refused });
    const error = await rejection(some.publish('note', 1, { durable: true, stream: false }));
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path: 'durable' });
  });

  test('a publisher without streams learns that a group waits for its type', async () => {
    const worker = await fixture.open({ streams: [streamFor('order.*')] });
    await worker.subscribe('order.*', () => {}, { group: 'billing' });
    const publisher = await fixture.open();
    const warnings: { code: string; message: string }[] = [];
    publisher.on('warning', (warning) => warnings.push(warning));
    for (const type of ['note', 'order.paid', 'order.paid']) await publisher.publish(type, 1);
    await eventually(() => warnings.length > 0);
    expect(warnings).toEqual([
      { code: 'TYPE_NOT_STORED', message: expect.stringContaining('"order.paid"') },
    ]);
  });

  test.each<[string, string, (bus: EventBusClient) => unknown]>([
    ['subscribe', 'group', (bus) => bus.subscribe('n', () => {}, { group: undefined })],
    ['events', 'group', (bus) => bus.events('n', { group: undefined }).next()],
    [
      'subscribeAll',
      'group',
      (bus) => bus.subscribeAll({ subscribedTo: () => ['n'], handle() {} }, { group: undefined }),
    ],
    ['a filter', 'filter', (bus) => bus.subscribe('n', () => {}, { filter: undefined })],
    [
      'a condition',
      'filter.data.user',
      (bus) => bus.subscribe('n', () => {}, { filter: { 'data.user': undefined } }),
    ],
    ['leaveRoom', 'member', (bus) => bus.leaveRoom('r', { member: undefined })],
    ['recover', 'group', (bus) => bus.streams.recover({ group: undefined })],
    ['recover of a stream', 'stream', (bus) => bus.streams.recover({ stream: undefined })],
    ['replayAll', 'stream', (bus) => bus.deadLetters.replayAll({ stream: undefined })],
    ['replayAll of a group', 'group', (bus) => bus.deadLetters.replayAll({ group: undefined })],
    ['replayAll of a reason', 'reason', (bus) => bus.deadLetters.replayAll({ reason: undefined })],
    ['replay', 'from', (bus) => bus.replay({ stream: 's', from: undefined, handler() {} })],
    ['replay up to', 'to', (bus) => bus.replay({ stream: 's', to: undefined, group: 'g' })],
  ])('undefined is refused: %s', async (_, path, call) => {
    const bus = await fixture.open({ streams: [streamFor('n')] });
    const error = await rejection(call(bus) as Promise<unknown>);
    expect(error).toMatchObject({ code: 'ERR_BUS_INVALID_OPTIONS', path });
  });
});
