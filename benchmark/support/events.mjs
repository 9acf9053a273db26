import { randomUUID } from 'node:crypto';
import { CHANNEL } from './channel.mjs';
import { payloads } from './payloads.mjs';

/** How many events a subscriber handles before it tells the flood. */
export const CREDIT = 256;

/** Complete events as text, as another Oxbus service would send them. */
export function eventTexts(payload) {
  const data = payloads(payload);
  const count = Math.max(64, data.length);
  return Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      id: randomUUID(),
      type: CHANNEL,
      data: data[index % data.length],
      metadata: {
        timestamp: new Date().toISOString(),
        source: 'flood',
        instanceId: 'flood-1',
        correlationId: randomUUID(),
      },
    }),
  );
}
