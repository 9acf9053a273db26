/** The package `cloudevents`: its parser reads what we publish, and we read what it makes, on ioredis. */

import type { BusEvent } from '../..';
import { eventually } from '../support/eventually';
import { awkwardPayloads } from './awkward-payloads';
import { beside, fromWires, installWires } from './beside';
import { heard as note } from './heard';

interface CloudEvent {
  id: string;
  type: string;
  source: string;
  time?: string;
  subject?: string;
  data?: unknown;
  validate(): boolean;
}
interface Sdk {
  CloudEvent: new (parts: object) => CloudEvent;
  HTTP: {
    structured(event: CloudEvent): { headers: object; body: string };
    toEvent(message: { headers: object; body: string }): CloudEvent;
  };
}

const headers = { 'content-type': 'application/cloudevents+json' };
const { client, ioredis } = beside({
  config: { wire: 'cloudevents', serviceName: 'shop' },
  prepare: installWires,
});
const sdk = (): Sdk => fromWires('cloudevents');

test.each(awkwardPayloads)('we publish and it reads: %s', async (_, payload) => {
  const [subscriber, read] = [ioredis(), [] as CloudEvent[]];
  subscriber.on('message', (_channel, body) => read.push(sdk().HTTP.toEvent({ headers, body })));
  await subscriber.subscribe('order.placed');
  const bus = await client();
  const { eventId } = await bus.publish('order.placed', payload, { key: 'o-1' });
  await eventually(() => read.length === 1);
  const [event] = read;
  expect(event?.validate()).toBe(true);
  expect(event).toMatchObject({ id: eventId, type: 'order.placed', source: 'shop' });
  expect([event?.subject, event?.data]).toEqual(['o-1', payload]);
  note('cloudevents', 'us');
});

test.each(awkwardPayloads)('it publishes and our handler runs: %s', async (_, data) => {
  const bus = await client();
  const heard: BusEvent[] = [];
  await bus.subscribe('order.*', (event) => void heard.push(event));
  const { CloudEvent, HTTP } = sdk();
  const parts = { type: 'order.placed', source: '/shop', subject: 'o-1', tenantid: 't', data };
  const event = new CloudEvent(parts);
  await ioredis().publish('order.placed', HTTP.structured(event).body);
  await eventually(() => heard.length === 1);
  expect(heard[0]).toMatchObject({
    id: event.id,
    type: 'order.placed',
    metadata: { source: '/shop', key: 'o-1', tenantid: 't', timestamp: event.time },
  });
  expect(heard[0]?.data).toEqual(data);
  note('cloudevents', 'them');
});
