// `npm run quickstart`: sets up what is missing, then runs examples/quickstart.

import { prepare, script } from './prepare.mjs';

await script('quickstart', async () => {
  prepare();
  await import('../examples/quickstart/main.mjs');
});
