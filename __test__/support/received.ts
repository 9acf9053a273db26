/** Publishes texts, and compares what comes with what `JSON.parse` makes of them. */

import { type BusEvent, type EventBusClient, rawJson } from '../..';
import { difference } from './difference';
import { eventually } from './eventually';

/** Shapes and strings are known the second time, and used the third. */
const TIMES = 3;

/** What came one way, by the ids of events. */
export class Received {
  readonly data = new Map<string, unknown>();
  readonly keep = (event: BusEvent<any>) => {
    this.data.set(event.id, event.data);
  };

  /** Fails unless all texts came, and nobody can tell what came from what `JSON.parse` makes of them. */
  async expect(published: ReadonlyMap<string, string>): Promise<void> {
    await eventually(() => [...published.keys()].every((id) => this.data.has(id)));
    for (const [id, text] of published) {
      const different = difference(this.data.get(id), JSON.parse(text));
      if (different !== undefined) throw new Error(`${different} in ${text.slice(0, 300)}`);
    }
  }
}

/** Publishes all texts so many times, one after the other. Resolves to the texts by the ids of their events. */
export async function publishTexts(bus: EventBusClient, texts: readonly string[], times = TIMES) {
  const published = new Map<string, string>();
  for (let time = 0; time < times; time += 1) {
    const ids = await Promise.all(texts.map((text) => bus.publish('text', rawJson(text))));
    ids.forEach(({ eventId }, index) => void published.set(eventId, texts[index] as string));
  }
  return published;
}
