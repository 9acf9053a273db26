// `npm run test:interop`: the tests beside the software of others, also those that npm test has no time for. They make the
// virtual environments of Python themselves, under target/interop. Then the table of docs/who-hears-whom.md is compared with
// what was seen. The last line is `N passed, N failed`. Needs the addon and dist/ (`npm run build`), and python3 with venv.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { faultsOf, readTable } from './interop/table.mjs';
import { localProgram, prepare, root, script } from './prepare.mjs';
import { ensureRedisServer } from './redis.mjs';
import {
  conclude,
  execute,
  jestTests,
  print,
  runSteps,
  serverEnvironment,
  single,
} from './test/runner.mjs';

const heard = join(root, 'target', 'interop', 'heard');

function tableIsTrue() {
  const faults = faultsOf(readTable(join(root, 'docs', 'who-hears-whom.md')), heard);
  for (const fault of faults) print(`${fault}\n`);
  return { code: faults.length > 0 ? 1 : 0 };
}

await script('test:interop', async () => {
  prepare();
  const env = serverEnvironment(ensureRedisServer());
  rmSync(heard, { recursive: true, force: true });
  const config = ['--config', join('scripts', 'interop', 'jest.config.cjs')];
  const jest = () =>
    execute(localProgram('jest'), ['--ci', ...config, ...process.argv.slice(2)], env);
  conclude(
    await runSteps([
      ['tests beside others', jest, jestTests],
      ['who hears whom', tableIsTrue, single],
    ]),
  );
});
