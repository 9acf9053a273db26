import { runChaos } from './run.mjs';

/**
 * Runs with consecutive seeds, each of which is printed with the accounts of its groups.
 *
 * @returns the seeds that failed, the sums over all accounts and, where masters are replaced, what became of what resolved
 */
export async function runSeeds({ seed: first, runs, seconds, restarts, topology = 'standalone' }) {
  const failed = [];
  const total = { accepted: 0, handled: 0, dead: 0, told: 0, balance: 0 };
  const resolved = { replicated: { count: 0, lost: 0 }, alone: { count: 0, lost: 0 } };
  for (let seed = first; seed < first + runs; seed += 1) {
    console.log(`seed ${seed}`);
    const run = await runChaos({ seed, seconds, restarts, topology });
    const { problems, accounts, summary, folder } = run;
    for (const { stream, group, accepted, handled, dead, told, balance } of accounts) {
      console.log(
        `  ${stream} ${group}: ${handled} handled + ${dead} dead letters + ${told} told lost ` +
          `= ${accepted} accepted${balance === 0 ? '' : ` - ${balance}`}`,
      );
    }
    for (const account of accounts)
      for (const key of Object.keys(total)) total[key] += account[key];
    for (const one of run.resolved) {
      console.log(`  ${resolvedInWords(one)}`);
      for (const [how, { count, lost }] of Object.entries(one)) {
        resolved[how].count += count;
        resolved[how].lost += lost;
      }
    }
    for (const [setting, facts] of Object.entries(summary)) {
      console.log(`  ${setting}: ${JSON.stringify(facts)}`);
    }
    if (problems.length === 0) continue;
    failed.push(seed);
    for (const problem of problems) console.log(`  ${problem}`);
    console.log(`  journals and the server's files are in ${folder}`);
  }
  return { failed, total, resolved };
}

export const resolvedInWords = ({ replicated, alone }) =>
  `resolved when all replicas had it: ${replicated.count}, of which ${replicated.lost} are lost; ` +
  `resolved without waiting for replicas: ${alone.count}, of which ${alone.lost} are lost`;
