// `npm run bench -- [question …] [--quick] [--rounds n] [--duration ms] [--only a,b] [--case text]
//   [--json file] [--block s]`

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ensurePackages, prepare, SetupError, script } from '../scripts/prepare.mjs';

const questions = [
  ...['publish', 'receive', 'shapes', 'latency', 'start', 'memory'],
  ...['consume', 'store', 'past', 'length', 'looks', 'recovery', 'blocked'],
  ...['rooms', 'request', 'hybrid', 'sse', 'bridge', 'cluster', 'otel', 'wires'],
];
/** These need a program that the machine may not have, so they run only when they are asked for. */
const special = ['overhead', 'instructions'];
const ROUNDS = 7;

function parseOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      duration: { type: 'string' },
      only: { type: 'string' },
      case: { type: 'string' },
      block: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const all = [...questions, ...special];
  const unknown = positionals.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    throw new SetupError(`no benchmark '${unknown.join("', '")}': there are ${all.join(', ')}`);
  }
  const duration = Number(values.duration ?? (values.quick ? 300 : 2000));
  return {
    names: positionals.length > 0 ? positionals : questions,
    quick: values.quick,
    rounds: values.rounds ? Number(values.rounds) : values.quick ? 1 : undefined,
    duration,
    warmUp: duration / 2,
    block: Number(values.block ?? (values.quick ? 10 : 60)) * 1000,
    only: values.only?.split(','),
    case: values.case,
    json: values.json,
  };
}

function say(message) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${message}`);
}

async function main() {
  const { names, json, ...options } = parseOptions();
  // The addon is needed only when Oxbus takes part.
  if (options.only?.every((name) => !name.startsWith('oxbus'))) ensurePackages();
  else prepare();
  // These need node_modules.
  const { startServer } = await import('./support/server.mjs');
  const { metricsOf, runCase } = await import('./support/rounds.mjs');
  const { caseTable } = await import('./support/report.mjs');
  const { environment } = await import('./support/environment.mjs');

  const server = await startServer();
  const report = { environment: environment(server), options, questions: [] };
  for (const [name, value] of Object.entries(report.environment))
    console.log(`- ${name}: ${value}`);
  console.log(`- ${options.duration} ms a round`);
  try {
    for (const name of names) {
      const benchmark = await import(`./${name}.mjs`);
      const rounds = options.rounds ?? benchmark.rounds ?? ROUNDS;
      console.log(`\n## ${benchmark.question}\n\n${rounds} ${rounds === 1 ? 'round' : 'rounds'}\n`);
      const cases = [];
      const wanted = benchmark.cases.filter(({ name }) => name.includes(options.case ?? ''));
      try {
        for (const definition of wanted) {
          const result = await runCase(benchmark, definition, { ...options, rounds, server, say });
          say('');
          console.log(caseTable(metricsOf(benchmark, definition), result));
          if (Object.keys(result.failures).length > 0) process.exitCode = 1;
          cases.push(result);
        }
      } finally {
        await benchmark.end?.();
      }
      report.questions.push({ name, question: benchmark.question, cases });
    }
  } finally {
    server.stop();
    if (json) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  }
}

await script('bench', main);
