// `npm run pack:local [-- folder]`: one file for `npm install`, with the addon of this system inside. Prints its path.

import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pack, stageLocal } from './packing/stage.mjs';
import { prepare, root, script } from './prepare.mjs';

await script('pack:local', () => {
  prepare();
  const staged = mkdtempSync(join(tmpdir(), 'oxbus-pack-'));
  const destination = resolve(root, process.argv[2] ?? '.');
  mkdirSync(destination, { recursive: true });
  try {
    const platform = stageLocal(join(staged, 'package'));
    const packed = pack(join(staged, 'package'), destination);
    const file = packed.replace(/\.tgz$/, `-${platform}.tgz`);
    renameSync(packed, file);
    console.log(file);
  } finally {
    rmSync(staged, { recursive: true, force: true });
  }
});
