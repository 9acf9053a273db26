import { randomUUID } from 'node:crypto';
import { CHANNEL } from './channel.mjs';
import { payloads } from './payloads.mjs';
import { freshKeys } from './rare-shapes.mjs';

/** How many events a subscriber handles before it tells the flood. */
export const CREDIT = 256;

/** How many events the flood is ahead: far fewer than the smallest default queue holds (10,000, 64 MiB). */
export const aheadOf = (payload) => (payload === 'github' ? 4 : 16) * CREDIT;

/** Complete events as text, as another Oxbus service would send them. */
export function eventTexts(payload, type = CHANNEL) {
  const data = payloads(payload);
  const count = Math.max(64, data.length);
  return Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      id: randomUUID(),
      type,
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

/** Whether each event of a payload must get keys of its own before it is sent: `freshKeys` fills their places. */
export const hasFreshKeys = (payload) => payload === 'adversarial';

/**
 * Complete events as text, so many at each call, in turn. Those with fresh keys are made by the call, the others before.
 * @returns {() => string[]}
 */
export function textsOf(payload, count) {
  const texts = eventTexts(payload);
  let turn = 0;
  if (!hasFreshKeys(payload)) {
    return () => Array.from({ length: count }, () => texts[turn++ % texts.length]);
  }
  const batch = Array.from({ length: count }, () => texts[turn++ % texts.length]);
  const make = freshKeys(Buffer.from(batch.join('\n')));
  return () => make().toString('latin1').split('\n');
}
