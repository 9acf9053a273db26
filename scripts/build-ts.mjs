// `npm run build:ts`: compiles ts/ to dist/.

import { buildTypeScript, script } from './prepare.mjs';

await script('build:ts', buildTypeScript);
