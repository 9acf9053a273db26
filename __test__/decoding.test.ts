/** What handlers get is what `JSON.parse` makes of the text that was published, however it came. */

import { MessageChannel } from 'node:worker_threads';
import type { BusEvent } from '..';
import { AWKWARD } from './support/awkward-json';
import { difference } from './support/difference';
import { streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { publishTexts, Received } from './support/received';
import { onBothTransports } from './support/transports';

onBothTransports((fixture) => {
  test('live events, with an iterator beside', async () => {
    const bus = await fixture.open();
    const [live, iterated] = [new Received(), new Received()];
    await bus.subscribe('text', live.keep);
    const events = bus.events('text');
    await events.ready();
    const iterating = (async () => {
      for await (const event of events) iterated.keep(event);
    })();
    const published = await publishTexts(bus, AWKWARD);
    await live.expect(published);
    await iterated.expect(published);
    await events.return();
    await iterating;
  });

  test('durable events and batches', async () => {
    const bus = await fixture.open({ streams: [streamFor('text')] });
    const [one, many] = [new Received(), new Received()];
    await bus.subscribe('text', one.keep, { group: 'one' });
    const batch = { size: 7, wait: 20 };
    await bus.subscribe('text', (events) => events.forEach(many.keep), { group: 'many', batch });
    const published = await publishTexts(bus, AWKWARD);
    await one.expect(published);
    await many.expect(published);
  });

  test('a handler does with data what it may do with any object', async () => {
    const bus = await fixture.open();
    const seen: BusEvent<any>[] = [];
    await bus.subscribe('text', (event) => seen.push(event));
    const text =
      '{"id":"a1","n":-0,"at":null,"list":[{"k":"v","w":1.5},{"k":"v","w":2}],"none":{}}';
    await publishTexts(bus, [text], 4);
    await eventually(() => seen.length === 4);
    const { port1, port2 } = new MessageChannel();
    const parsed = JSON.parse(text);
    for (const event of seen) {
      const { data } = event;
      expect(JSON.stringify(data)).toBe(JSON.stringify(parsed));
      expect(difference({ ...data }, parsed)).toBeUndefined();
      expect(data).toStrictEqual(parsed);
      const posted = new Promise((resolve) => port2.once('message', resolve));
      port1.postMessage(event);
      expect(await posted).toEqual(structuredClone({ ...event, data: parsed }));
      expect(difference(structuredClone(data), structuredClone(parsed))).toBeUndefined();
      // No event shares an object with another one, nor with what builds them.
      data.list[0].k = 'changed';
      data.list.push(3);
      data.none.own = true;
      data.more = 1;
      delete data.id;
      Object.freeze(data.list[1]);
    }
    port1.close();
    const published = await publishTexts(bus, [text]);
    await eventually(() => seen.length === 7);
    const later = new Received();
    seen.slice(4).forEach(later.keep);
    await later.expect(published);
  });
});
