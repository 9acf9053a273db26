import { Redis } from 'ioredis';
import { decodeEntry, fieldsOf } from './entry.mjs';
import { createGroup, readArguments } from './ioredis.mjs';

const BATCH = 10;

/**
 * The consumer of the campaign document: one connection, small batches, and for one event after the
 * other the handler and then its acknowledgement are waited for.
 */
export function createConsumer(url, { stream, groups: [group] }) {
  const client = new Redis(url, { lazyConnect: true });
  let stopped = false;
  let looping;
  async function loop(handler) {
    while (!stopped) {
      const answer = await client.xreadgroup(...readArguments(stream, group, BATCH));
      for (const [id, flat] of answer?.[0][1] ?? []) {
        if (stopped) return;
        try {
          await handler(decodeEntry(fieldsOf(flat)));
          await client.xack(stream, group, id);
        } catch (error) {
          console.error(error);
        }
      }
    }
  }
  return {
    async start(handler) {
      await client.connect();
      await createGroup(client, stream, group, '0');
      looping = loop(handler);
    },
    async close() {
      stopped = true;
      await looping;
      await client.quit();
    },
  };
}
