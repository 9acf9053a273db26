/** What waits for one socket, so that who never reads does not fill the memory. */

import { setImmediate } from '../runtime/clock';
import type { Connection } from './server';

/** What a packet takes beside its data. */
const PACKET = 64;

/** Turns of the event loop in which something was written, over all connections. */
let turn = 0;
let isTurnMarked = false;

function currentTurn(): number {
  if (!isTurnMarked) {
    isTurnMarked = true;
    setImmediate(() => {
      isTurnMarked = false;
      turn += 1;
    });
  }
  return turn;
}

/**
 * Calls `tooMuch` once more than `limit` waits for a connection: characters of texts and bytes. What is written in one turn to a
 * connection for which nothing waits is let through, whatever its size: nobody could have taken it yet. Returns what ends this.
 */
export function boundBacklog(
  connection: Connection,
  limit: number,
  tooMuch: () => void,
): () => void {
  let waiting = 0;
  let letThrough = -1;
  let told = false;
  const created = ({ data }: { data?: unknown }) => {
    const now = currentTurn();
    if (waiting === 0) letThrough = now;
    waiting += PACKET + sizeOf(data);
    if (waiting <= limit || letThrough === now || told) return;
    told = true;
    tooMuch();
  };
  // All that waits has gone to the transport, which takes no more until the network has taken it.
  const drained = () => {
    waiting = 0;
  };
  connection.on('packetCreate', created);
  connection.on('drain', drained);
  return () => {
    connection.off('packetCreate', created);
    connection.off('drain', drained);
  };
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return data.length;
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}
