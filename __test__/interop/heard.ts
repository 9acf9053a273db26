/** Notes who was seen to hear whom. `npm run test:interop` compares that with the table of docs/who-hears-whom.md. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './beside';

const FOLDER = join(ROOT, 'target', 'interop', 'heard');

/** `'us'`: their handlers ran for what we published. `'them'`: ours for what they published. */
export type Heard = 'us' | 'them';

/** A handler has run with the right payload. `peer` is the first cell of a row of the table. */
export function heard(peer: string, whom: Heard): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${encodeURIComponent(peer)} ${whom}`), '');
}
