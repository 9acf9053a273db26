import { SUBJECT } from './contestants.mjs';
import { ratio, summary } from './statistics.mjs';

/**
 * Runs every contestant of a case once per round, each round starting with another one, and
 * summarises. A contestant that fails is reported and takes no further part.
 */
export async function runCase(benchmark, definition, context) {
  const { rounds, only, say } = context;
  const metrics = metricsOf(benchmark, definition);
  const contestants = definition.contestants.filter((name) => !only || only.includes(name));
  /** @type {Map<string, (Record<string, number> | undefined)[]>} */
  const results = new Map(contestants.map((name) => [name, []]));
  const failures = new Map();
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < contestants.length; turn += 1) {
      const name = contestants[(round + turn) % contestants.length];
      if (failures.has(name)) continue;
      say(`${definition.name}: round ${round + 1} of ${rounds}, ${name}`);
      try {
        const result = await benchmark.measure(name, definition, context);
        for (const { key, must } of metrics) {
          if (must !== undefined && result[key] !== undefined && result[key] !== must) {
            throw new Error(`${key} is ${result[key]}, must be ${must}`);
          }
        }
        results.get(name)[round] = result;
      } catch (error) {
        failures.set(name, error.message);
      }
    }
  }
  return {
    name: definition.name,
    failures: Object.fromEntries(failures),
    contestants: contestants
      .filter((name) => !failures.has(name))
      .map((name) => ({ name, metrics: summarise(metrics, results, name) })),
  };
}

/** What is told of a case: most questions tell the same of all their cases. */
export const metricsOf = (benchmark, definition) => definition.metrics ?? benchmark.metrics;

function summarise(metrics, results, name) {
  const column = (contestant, key) => results.get(contestant)?.map((result) => result?.[key]) ?? [];
  return Object.fromEntries(
    metrics.map(({ key, better, compared }) => {
      const values = column(name, key);
      const known = values.filter((value) => value !== undefined);
      const ratios =
        compared && name !== SUBJECT ? ratio(column(SUBJECT, key), values, better) : undefined;
      return [key, known.length > 0 ? { ...summary(known), ratio: ratios } : undefined];
    }),
  );
}
