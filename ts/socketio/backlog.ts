/** What waits for one socket, so that who never reads does not fill the memory. */

import type { Connection } from './server';

/** What a packet takes beside its data. */
const PACKET = 64;

/**
 * Calls `tooMuch` once more than `limit` has been written to a connection since it last took something. Counted are characters of
 * texts and bytes.
 */
export function boundBacklog(connection: Connection, limit: number, tooMuch: () => void): void {
  let waiting = 0;
  let told = false;
  connection.on('packetCreate', ({ data }) => {
    waiting += PACKET + sizeOf(data);
    if (waiting <= limit || told) return;
    told = true;
    tooMuch();
  });
  // All that waits has gone to the transport, which takes no more until the network has taken it.
  connection.on('drain', () => {
    waiting = 0;
  });
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return data.length;
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}
