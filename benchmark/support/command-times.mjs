import { withRedis } from './backlog.mjs';

const kinds = { reads: ['xreadgroup'], scripts: ['eval', 'evalsha'] };

/** How often each command was called, and for how many microseconds in all. */
async function statistics(server) {
  const info = await withRedis(server, (client) => client.info('commandstats'));
  const rows = info.matchAll(/^cmdstat_(\w+):calls=(\d+),usec=(\d+)/gm);
  return new Map([...rows].map(([, name, ...figures]) => [name, figures.map(Number)]));
}

/**
 * Begins to count what a server does for reads of groups and for scripts. Resolves to a function
 * that tells their calls and their microseconds. What a script calls is part of its time.
 */
export async function commandTimes(server) {
  const before = await statistics(server);
  return async () => {
    const after = await statistics(server);
    const of = (name, at) => (after.get(name)?.[at] ?? 0) - (before.get(name)?.[at] ?? 0);
    const sum = (names, at) => names.reduce((total, name) => total + of(name, at), 0);
    const told = (names) => ({ calls: sum(names, 0), usec: sum(names, 1) });
    return Object.fromEntries(Object.entries(kinds).map(([kind, names]) => [kind, told(names)]));
  };
}
