import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

test('the types hold: ts/, index.d.ts, the tests and types.test-d.ts compile', () => {
  const root = join(__dirname, '..');
  const tsc = require.resolve('typescript/package.json').replace('package.json', 'bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.test.json')], {
    stdio: 'pipe',
    encoding: 'utf8',
  });
}, 60_000);
