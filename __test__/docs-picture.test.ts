/** The picture of the architecture is what its source gives. */

import { join } from 'node:path';
import { runNode } from './support/scripts';

const ROOT = join(__dirname, '..');
const LIMIT = 20_000;

test(
  'docs/architecture.svg is drawn from docs/architecture.dot',
  async () => {
    const { code, err } = await runNode([join('scripts', 'picture.mjs'), '--check'], {
      limit: LIMIT,
      cwd: ROOT,
    });
    expect({ code, err }).toEqual({ code: 0, err: '' });
  },
  LIMIT + 1000,
);
