// `npm run test:servers -- [--only NAME,NAME] [--seconds 30]`: the tests of the engine, Jest and a chaos run on each
// server of scripts/servers/catalog.mjs and on the installed one, with a table of what passed. A server that cannot be
// had here is named with the reason, and is a failure only when --only asks for it.

import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { localProgram, prepare, SetupError, script } from './prepare.mjs';
import { ensureRedisServer } from './redis.mjs';
import { servers } from './servers/catalog.mjs';
import { fetchServer } from './servers/fetch.mjs';
import {
  cargoTests,
  conclude,
  execute,
  jestTests,
  runSteps,
  serverEnvironment,
  single,
} from './test/runner.mjs';

const { values } = parseArgs({
  options: { only: { type: 'string' }, seconds: { type: 'string', default: '30' } },
});

/** The installed server, by its name and version. */
function installed() {
  const path = ensureRedisServer();
  const printed = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout;
  const [, name, version] = /^(\w+) server v=(\S+)/.exec(printed) ?? [];
  if (!name) throw new SetupError(`this is no Redis server: ${path}`);
  return { name: `${name.toLowerCase()}-${version}`, path };
}

function stepsOn(name, path) {
  const env = serverEnvironment(path);
  const engine = (target) => () =>
    execute('cargo', ['test', '-p', 'oxbus-engine', '--locked', '--no-fail-fast', ...target], env);
  const chaos = ['scripts/chaos.mjs', '--seed', '11', '--seconds', values.seconds];
  return [
    [`${name}: engine, unit`, engine(['--lib']), cargoTests],
    [`${name}: engine, conformance`, engine(['--test', 'conformance']), cargoTests],
    [`${name}: engine, faults`, engine(['--test', 'faults']), cargoTests],
    [`${name}: jest`, () => execute(localProgram('jest'), ['--ci'], env), jestTests],
    [`${name}: chaos`, () => execute(process.execPath, chaos, env), single],
  ];
}

await script('test:servers', async () => {
  const only = values.only?.split(',');
  const host = installed();
  const all = [host, ...servers.filter(({ name }) => name !== host.name)];
  const unknown = only?.find((name) => !all.some((server) => server.name === name));
  if (unknown) throw new SetupError(`no such server: ${unknown}`);
  prepare();
  const results = [];
  const missing = [];
  for (const server of all.filter(({ name }) => !only || only.includes(name))) {
    let path = server.path;
    try {
      path ??= fetchServer(server);
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      missing.push(`${server.name}: not tested: ${error.message}`);
      if (only) results.push({ name: server.name, passed: 0, failed: 1, seconds: 0 });
      continue;
    }
    results.push(...(await runSteps(stepsOn(server.name, path))));
  }
  const cell = ({ passed, failed }) => `${passed}/${failed}`;
  const rows = {};
  for (const result of results.filter(({ name }) => name.includes(': '))) {
    const [server, suite] = result.name.split(': ');
    rows[server] = { ...rows[server], [suite]: cell(result) };
  }
  console.table(rows);
  for (const line of missing) console.log(line);
  conclude(results);
});
