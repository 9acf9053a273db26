/** W3C baggage in the metadata of events. */

import { type Baggage, baggageEntryMetadataFromString, propagation } from '@opentelemetry/api';

/** As the specification has it. */
const MAX_BYTES = 8192;
const MAX_ENTRIES = 64;

/** Undefined where there is none; null where it is too large to be carried. */
export function formatBaggage(baggage: Baggage | undefined): string | null | undefined {
  const entries = baggage?.getAllEntries() ?? [];
  if (entries.length === 0) return undefined;
  if (entries.length > MAX_ENTRIES) return null;
  const text = entries
    .map(([key, { value, metadata }]) => {
      const properties = metadata?.toString() ?? '';
      const own = `${encodeURIComponent(key)}=${encodeURIComponent(value)}`;
      return properties === '' ? own : `${own};${properties}`;
    })
    .join(',');
  return Buffer.byteLength(text) > MAX_BYTES ? null : text;
}

/** Leaves out what is no entry. */
export function parseBaggage(text: unknown): Baggage | undefined {
  if (typeof text !== 'string' || text.length > MAX_BYTES) return undefined;
  let baggage = propagation.createBaggage();
  for (const entry of text.split(',').slice(0, MAX_ENTRIES)) {
    const [pair = '', ...properties] = entry.split(';');
    const at = pair.indexOf('=');
    const key = decoded(pair.slice(0, at).trim());
    const value = decoded(pair.slice(at + 1).trim());
    if (at < 1 || key === undefined || value === undefined || key === '') continue;
    const metadata = baggageEntryMetadataFromString(properties.join(';').trim());
    baggage = baggage.setEntry(key, { value, ...(properties.length > 0 && { metadata }) });
  }
  return baggage.getAllEntries().length > 0 ? baggage : undefined;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
