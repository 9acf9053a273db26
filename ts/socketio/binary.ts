/**
 * Bytes in the data of events. JSON holds none, so on the bus they are base64, and `metadata.binary` names their places
 * (JSON pointers, RFC 6901); hubs and their clients put them back.
 */

import { types } from 'node:util';
import type { BusEvent } from '../../index';

const MAX_DEPTH = 100;

/** The data with base64 in the place of bytes, and where they were; undefined where there are none. */
export function bytesAsText(data: unknown): { data: unknown; places: string[] } | undefined {
  if (!hasBytes(data, 0)) return undefined;
  const places: string[] = [];
  const written = write(data, '', places, 0);
  return places.length === 0 ? undefined : { data: written, places };
}

/** Looks without making anything: most data has none. */
function hasBytes(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return true;
  if (depth > MAX_DEPTH) return false;
  for (const key in value) {
    if (hasBytes((value as Record<string, unknown>)[key], depth + 1)) return true;
  }
  return false;
}

function write(value: unknown, place: string, places: string[], depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const bytes = bytesOf(value);
  if (bytes !== undefined) {
    places.push(place);
    return bytes.toString('base64');
  }
  // What is deeper is for `publish` to refuse.
  if (depth > MAX_DEPTH) return value;
  const found = places.length;
  const entries = Object.entries(value).map(
    ([key, member]) =>
      [key, write(member, `${place}/${escapeKey(key)}`, places, depth + 1)] as const,
  );
  if (places.length === found) return value;
  return Array.isArray(value) ? entries.map(([, member]) => member) : Object.fromEntries(entries);
}

function bytesOf(value: object): Buffer | undefined {
  if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.length);
  return types.isAnyArrayBuffer(value) ? Buffer.from(value) : undefined;
}

/** Puts the bytes back into an event that has come from the bus. */
export function bytesRestored(event: BusEvent): BusEvent {
  if (!Array.isArray(event.metadata.binary)) return event;
  const { binary, ...metadata } = event.metadata as BusEvent['metadata'] & { binary: unknown[] };
  const holder: Record<string, unknown> = { data: event.data };
  for (const place of binary) if (typeof place === 'string') restore(holder, place);
  return { ...event, data: holder.data, metadata: metadata as BusEvent['metadata'] };
}

function restore(holder: Record<string, unknown>, place: string): void {
  const keys = ['data', ...place.split('/').slice(1).map(unescapeKey)];
  const last = keys.pop() as string;
  let parent: unknown = holder;
  for (const key of keys) parent = ownMember(parent, key);
  const text = ownMember(parent, last);
  if (typeof text !== 'string') return;
  (parent as Record<string, unknown>)[last] = Buffer.from(text, 'base64');
}

function ownMember(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function escapeKey(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescapeKey(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~');
}
